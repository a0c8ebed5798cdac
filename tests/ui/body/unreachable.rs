//! Code after a return.

#![deny(unreachable_code)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
pub async fn generate(prompt: &str) -> usize {
    return prompt.len();
    prompt.len() + 1
}

fn main() {}
