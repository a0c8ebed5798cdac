//! A label of a type of one's own that is none.

use dynamo_metrics::instrumented_endpoint;

pub struct Uuid(u128);

#[instrumented_endpoint(labels(id = id))] //~
async fn generate(id: Uuid) {
    let _ = id.0;
}

fn main() {}
