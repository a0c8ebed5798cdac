//! An objective for tokens where there are none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo(e2e = "9s", ttft = "500ms"))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
