//! The last expression is a statement.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> usize {
    prompt.len();
}

fn main() {}
