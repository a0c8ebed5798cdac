//! `?` in a function that returns no `Result`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> usize {
    prompt.parse::<usize>()?
}

fn main() {}
