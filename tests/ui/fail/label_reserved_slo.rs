//! A label that belongs to objectives.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(slo = "x"))] //~
async fn generate() {}

fn main() {}
