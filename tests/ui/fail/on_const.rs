//! The attribute on a constant.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
pub const WORKERS: u8 = 7; //~

fn main() {}
