//! The attribute on a module.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
mod engine {} //~

fn main() {}
