//! A label that belongs to the scope.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier = "free", dynamo_namespace = "x"))] //~
async fn generate() {}

fn main() {}
