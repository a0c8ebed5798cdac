//! Bounds that are times.

use dynamo_metrics::instrumented_endpoint;
use std::time::Duration;

#[instrumented_endpoint(buckets = [Duration::from_millis(5), Duration::from_secs(1)])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
