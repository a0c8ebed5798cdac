//! An endpoint whose name is not written as text.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = generate)] //~
async fn generate() {}

fn main() {}
