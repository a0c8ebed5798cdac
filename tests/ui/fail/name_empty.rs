//! An endpoint without a name.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "")] //~
async fn generate() {}

fn main() {}
