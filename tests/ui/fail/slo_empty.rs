//! No objective.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(slo())] //~
async fn generate() -> u8 {
    7
}

fn main() {}
