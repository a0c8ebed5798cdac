//! An objective that there is not.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo(success = 99.5))] //~
async fn generate() -> u8 {
    7
}

fn main() {}
