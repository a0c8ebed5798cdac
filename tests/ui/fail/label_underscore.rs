//! A pattern that binds nothing as a label.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(_))] //~
async fn generate(_: bool) {}

fn main() {}
