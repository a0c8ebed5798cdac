//! A returned value, as `#[tracing::instrument]` logs it.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", ret)] //~
async fn generate() {}

fn main() {}
