//! A label that is given twice, in its short form and in full.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(cached, cached = true))] //~
async fn generate(cached: bool) {
    let _ = cached;
}

fn main() {}
