//! Bounds of which one is a time.

use dynamo_metrics::instrumented_endpoint;
use std::time::Duration;

#[instrumented_endpoint(buckets = [0.1, Duration::from_secs(1)])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
