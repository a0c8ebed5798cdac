//! A label whose name is no label's.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(größe = "x"))] //~
async fn generate() {}

fn main() {}
