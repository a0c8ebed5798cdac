//! A label that the endpoint sets itself.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier = "free", outcome = "x"))] //~
async fn generate() {}

fn main() {}
