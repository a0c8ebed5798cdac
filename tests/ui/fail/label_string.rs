//! A label whose values nothing bounds: `String`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(model = model))] //~
async fn generate(model: String) {
    drop(model);
}

fn main() {}
