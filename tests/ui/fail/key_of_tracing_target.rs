//! A target, as `#[tracing::instrument]` has it.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", target = "models")] //~
async fn generate() {}

fn main() {}
