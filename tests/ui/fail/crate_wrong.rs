//! Another crate.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(crate = std)] //~
async fn generate() {}

fn main() {}
