//! An objective that is given twice.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo(e2e = "1s"), slo(e2e = "2s"))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
