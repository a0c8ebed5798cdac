//! A body on one line brings no warning.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;

#[rustfmt::skip]
#[instrumented_endpoint]
async fn number() -> u8 { 7 }

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(number()), 7);
}
