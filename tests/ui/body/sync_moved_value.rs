//! A value that is used after it was moved.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: String) -> usize {
    drop(prompt);
    prompt.len()
}

fn main() {}
