//! A label of a type that might be anything.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(labels(model = model))] //~
async fn generate<M>(model: M) {
    drop(model);
}

fn main() {}
