//! Bounds that are whole numbers, and do not increase either.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets = [1, 5, 2])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
