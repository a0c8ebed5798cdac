//! A list that is written as a value.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels = "tier")] //~
async fn generate() {}

fn main() {}
