//! An endpoint whose name has a blank.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate text")] //~
async fn generate() {}

fn main() {}
