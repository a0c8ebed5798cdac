//! An argument that is not used.

#![deny(unused_variables)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
pub async fn generate(prompt: &str, limit: usize) -> usize {
    prompt.len()
}

fn main() {}
