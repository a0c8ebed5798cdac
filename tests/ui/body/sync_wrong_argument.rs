//! A call in the body has an argument of the wrong type.

use dynamo_metrics::instrumented_endpoint;

fn sample(temperature: f64) -> f64 {
    temperature
}

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> f64 {
    sample(prompt)
}

fn main() {}
