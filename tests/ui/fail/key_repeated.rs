//! An argument that is given twice.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", name = "chat")] //~
async fn generate() {}

fn main() {}
