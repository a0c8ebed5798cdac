//! A predicate of another value.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", ok_if = |text: &String| text.is_empty())] //~
async fn generate() -> Result<u8, u8> {
    Ok(7)
}

fn main() {}
