//! The attribute on a whole impl.

use dynamo_metrics::instrumented_endpoint;

struct Engine;

#[instrumented_endpoint]
impl Engine { //~
    async fn generate(&self) {}
}

fn main() {
    drop(Engine.generate());
}
