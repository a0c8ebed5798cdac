//! A value that is changed while it is lent.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
async fn generate(mut words: Vec<String>) -> usize {
    let first = &words[0];
    words.clear();
    first.len()
}

fn main() {}
