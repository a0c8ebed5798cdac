//! Two arguments without a comma between them.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate" stream)] //~
async fn generate() {}

fn main() {}
