//! The same, where there are none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier))] //~
async fn generate() {}

fn main() {}
