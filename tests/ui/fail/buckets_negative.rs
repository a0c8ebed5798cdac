//! A bound that no time is under.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets = [-0.1, 0.5])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
