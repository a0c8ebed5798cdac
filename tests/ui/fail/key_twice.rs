//! Two attributes on one function.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
#[instrumented_endpoint(name = "chat")] //~
async fn generate() {}

fn main() {}
