//! `skip` as `#[tracing::instrument]` has it.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", skip(prompt))] //~
async fn generate(prompt: &str) {
    let _ = prompt;
}

fn main() {}
