//! The last expression has another type than the function.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate(prompt: &str) -> usize {
    let words = prompt.split(' ').count();
    println!("{words}");
    words.to_string()
}

fn main() {}
