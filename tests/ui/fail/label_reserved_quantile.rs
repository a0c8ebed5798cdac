//! A label that belongs to summaries.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier = "free", quantile = "x"))] //~
async fn generate() {}

fn main() {}
