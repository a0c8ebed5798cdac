//! A label whose values nothing bounds: `u64`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(model = model))] //~
async fn generate(model: u64) {
    let _ = model;
}

fn main() {}
