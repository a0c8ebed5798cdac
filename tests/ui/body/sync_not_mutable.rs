//! An argument that is changed without being `mut`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: String) -> usize {
    prompt.push('x');
    prompt.len()
}

fn main() {}
