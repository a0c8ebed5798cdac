//! A misspelt argument, with the one that was meant.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(lable(cached = true))] //~
async fn generate() {}

fn main() {}
