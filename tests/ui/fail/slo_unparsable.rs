//! An objective that is no time.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo(e2e = "fast"))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
