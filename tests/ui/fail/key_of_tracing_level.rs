//! An argument of `#[tracing::instrument]` that has a value.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", level = "debug")] //~
async fn generate() {}

fn main() {}
