//! An argument of `#[tracing::instrument]`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", skip_all)] //~
async fn generate() {}

fn main() {}
