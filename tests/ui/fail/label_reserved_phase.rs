//! A label that metrics of the endpoint's streams have.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier = "free", phase = "x"))] //~
async fn generate() {}

fn main() {}
