//! A value that is written as a list.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name("generate"))] //~
async fn generate() {}

fn main() {}
