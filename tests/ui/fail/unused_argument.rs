//! An argument that nobody uses is told of, as without the attribute.

#![deny(unused_variables)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
fn generate(prompt: &str) {} //~

fn main() {
    generate("x");
}
