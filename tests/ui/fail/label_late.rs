//! A label that is to be known later.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(cached = late: bool))] //~
async fn generate() {}

fn main() {}
