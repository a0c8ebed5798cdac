//! A bound that is always there.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets = [0.1, f64::INFINITY])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
