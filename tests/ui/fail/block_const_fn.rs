//! A const function in a block.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

#[instrumented_endpoint]
impl Engine {
    pub fn generate(&self) {}

    pub const fn new() -> Self { //~
        Self
    }
}

fn main() {}
