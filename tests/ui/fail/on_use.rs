//! The attribute on an import.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
pub use std::mem::swap; //~

fn main() {}
