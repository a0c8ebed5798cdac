//! A label that belongs to histograms.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier = "free", le = "x"))] //~
async fn generate() {}

fn main() {}
