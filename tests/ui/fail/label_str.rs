//! A label whose values nothing bounds: `&str`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(model = model))] //~
async fn generate(model: &str) {
    let _ = model;
}

fn main() {}
