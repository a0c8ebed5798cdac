//! An argument like none there is: all of them are named.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", histogram = 7)] //~
async fn generate() {}

fn main() {}
