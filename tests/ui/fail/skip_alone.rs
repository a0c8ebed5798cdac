//! `skip` on a function that stands alone.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(skip)] //~
async fn generate() {}

fn main() {}
