//! The crate under another name, without saying so.

extern crate dynamo_metrics as sdk;
extern crate std as dynamo_metrics;

use sdk::instrumented_endpoint;

#[instrumented_endpoint] //~
async fn generate() {}

fn main() {}
