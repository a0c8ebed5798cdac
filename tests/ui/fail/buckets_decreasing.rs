//! Bounds that do not increase.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets = [0.1, 0.5, 0.5])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
