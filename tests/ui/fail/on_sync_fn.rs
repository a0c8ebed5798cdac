//! The attribute on a function that is not async.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate() -> u8 { //~
    1
}

fn main() {
    assert_eq!(generate(), 1);
}
