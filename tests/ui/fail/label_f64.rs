//! A label whose values nothing bounds: `f64`.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(load = load))] //~
async fn generate(load: f64) {
    let _ = load;
}

fn main() {}
