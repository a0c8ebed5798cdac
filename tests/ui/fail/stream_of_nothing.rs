//! `stream` on a function that returns nothing.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(stream)] //~
async fn generate() {}

fn main() {}
