//! What a cancelled call cannot be.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(cancelled = "yes")] //~
async fn generate() {}

fn main() {}
