//! Text in place of a choice.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(in_flight = "no")] //~
async fn generate() {}

fn main() {}
