//! An objective that nobody meets.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo(e2e = "0s"))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
