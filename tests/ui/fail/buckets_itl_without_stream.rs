//! Bounds of the time between tokens, on a function that has none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(buckets(itl = [0.01, 0.1]))] //~
async fn generate() {}

fn main() {}
