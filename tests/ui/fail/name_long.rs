//! An endpoint whose name is too long.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")] //~
async fn generate() {}

fn main() {}
