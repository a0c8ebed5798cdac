//! Buckets of token times where there are no tokens.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets(ttft = [0.1, 1.0]))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
