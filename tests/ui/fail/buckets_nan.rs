//! A bound that is no number.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets = [0.1, f64::NAN])] //~
async fn generate() -> u8 {
    7
}

fn main() {}
