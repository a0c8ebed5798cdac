//! A function without the `self` that the block's scope is of.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine(dynamo_metrics::registry::Scope);

#[instrumented_endpoint(scope = &self.0)]
impl Engine {
    pub fn generate(&self) {}

    pub fn new(scope: dynamo_metrics::registry::Scope) -> Self { //~
        Self(scope)
    }
}

fn main() {}
