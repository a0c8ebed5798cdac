//! A future that is returned where its value is wanted.

use dynamo_metrics::instrumented_endpoint;

async fn sample() -> usize {
    7
}

#[instrumented_endpoint(name = "generate")]
async fn generate() -> usize {
    let first = sample().await;
    println!("{first}");
    sample()
}

fn main() {}
