//! The short form of the same.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(?prompt))] //~
async fn generate(prompt: u64) {
    let _ = prompt;
}

fn main() {}
