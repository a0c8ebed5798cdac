//! The crate comes by way of another module, as it may by way of another crate.

#![deny(warnings)]

extern crate std as dynamo_metrics;

mod metrics {
    pub extern crate dynamo_metrics as sdk;
}

use metrics::sdk::instrumented_endpoint;

#[instrumented_endpoint(crate = metrics::sdk)]
fn generate() -> u8 {
    7
}

fn main() {
    assert_eq!(generate(), 7);
}
