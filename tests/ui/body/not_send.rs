//! A future that cannot be sent, for a value of the caller's own.

use std::rc::Rc;

use dynamo_metrics::instrumented_endpoint;

async fn sample() {}

#[instrumented_endpoint(name = "generate")]
async fn generate() -> u8 {
    let counted = Rc::new(7);
    sample().await;
    *counted
}

fn spawn(_: impl Future + Send) {}

fn main() {
    spawn(generate());
}
