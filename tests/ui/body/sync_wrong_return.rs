//! An early return has another type than the function.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> usize {
    if prompt.is_empty() {
        return "nothing";
    }
    prompt.len()
}

fn main() {}
