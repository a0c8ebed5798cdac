//! A scope that is none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", scope = 5)] //~
async fn generate() {}

fn main() {}
