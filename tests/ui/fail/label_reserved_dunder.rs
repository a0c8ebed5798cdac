//! A label that belongs to the format.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(__name = "x"))] //~
async fn generate() {}

fn main() {}
