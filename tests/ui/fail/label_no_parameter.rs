//! A label in its short form that is no parameter.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(tier))] //~
async fn generate(prompt: &str, (low, high): (u8, u8)) {
    let _ = (prompt, low, high);
}

fn main() {}
