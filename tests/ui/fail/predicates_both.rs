//! Two predicates.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(ok_if = Result::is_ok, error_if = Result::is_err)] //~
async fn generate() -> Result<u8, u8> {
    Ok(7)
}

fn main() {}
