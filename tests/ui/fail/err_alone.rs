//! `err` as `#[tracing::instrument]` has it.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", err)] //~
async fn generate() -> Result<u8, u8> {
    Ok(7)
}

fn main() {}
