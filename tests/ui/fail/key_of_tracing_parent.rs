//! A parent, as `#[tracing::instrument]` has it.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", parent = span)] //~
async fn generate() {}

fn main() {}
