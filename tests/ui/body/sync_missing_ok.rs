//! A value that should stand in an `Ok`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> Result<usize, std::num::ParseIntError> {
    let n: usize = prompt.parse()?;
    n
}

fn main() {}
