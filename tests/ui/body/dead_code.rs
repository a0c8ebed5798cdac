//! A function that nobody calls.

#![deny(dead_code)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
async fn generate(prompt: &str) -> usize {
    prompt.len()
}

fn main() {}
