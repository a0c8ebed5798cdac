//! Buckets of nothing.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets())] //~
async fn generate() -> u8 {
    7
}

fn main() {}
