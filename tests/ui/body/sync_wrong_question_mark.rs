//! `?` on an error that does not convert to the function's.

use dynamo_metrics::instrumented_endpoint;

#[derive(Debug)]
struct Refused;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> Result<usize, Refused> {
    let n: usize = prompt.parse::<usize>()?;
    Ok(n)
}

fn main() {
    println!("{:?}", Refused);
}
