//! The attribute on a const function, which may run in the compiler.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
const fn generate() -> u8 { //~
    1
}

fn main() {
    const ONE: u8 = generate();
    assert_eq!(ONE, 1);
}
