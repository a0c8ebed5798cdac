//! A label whose value is formatted, as fields of `#[tracing::instrument]` may be.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(prompt = %prompt))] //~
async fn generate(prompt: u64) {
    let _ = prompt;
}

fn main() {}
