//! The attribute on a whole trait.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint]
pub trait Engine { //~
    fn generate(&self) {}
}

fn main() {}
