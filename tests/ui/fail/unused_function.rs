//! A function that nobody calls is told of, as without the attribute.

#![deny(dead_code)]

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
fn generate() {} //~

fn main() {}
