//! The attribute on an enum.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
pub enum Engine { //~
    Echo,
}

fn main() {}
