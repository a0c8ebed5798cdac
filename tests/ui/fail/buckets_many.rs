//! More bounds than anybody wants.

use dynamo_metrics::instrumented_endpoint;

const MANY: [f64; 65] = [1.0; 65];

#[instrumented_endpoint(buckets = MANY)] //~
async fn generate() -> u8 {
    7
}

fn main() {}
