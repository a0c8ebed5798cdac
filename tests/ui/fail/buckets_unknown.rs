//! Buckets of a metric that there is not.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets(duration = [0.1], gap = [0.1]))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
