//! Something else of errors.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", err(kind = "x"))] //~
async fn generate() -> Result<u8, u8> {
    Ok(7)
}

fn main() {}
