//! `stream` on a function whose value is none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", stream)] //~
async fn generate() -> Vec<u8> {
    vec![1]
}

fn main() {}
