//! The attribute on a struct.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
struct Engine { //~
    workers: u8,
}

fn main() {
    let engine = Engine { workers: 1 };
    assert_eq!(engine.workers, 1);
}
