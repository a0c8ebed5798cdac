//! A label for errors whose values nothing bounds.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", err(label = |error| error.to_string()))] //~
async fn generate() -> Result<u8, std::num::ParseIntError> {
    "7".parse()
}

fn main() {}
