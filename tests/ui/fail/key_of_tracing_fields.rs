//! An argument of `#[tracing::instrument]` that is a list.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", fields(tier = 1))] //~
async fn generate() {}

fn main() {}
