//! A label that is given twice.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(cached = true, tier = "free", cached = false))] //~
async fn generate() {}

fn main() {}
