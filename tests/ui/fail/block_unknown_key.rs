//! A misspelt argument on a function of a block.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

#[instrumented_endpoint]
impl Engine {
    #[instrumented_endpoint(lable(cached = true))] //~
    pub fn generate(&self) {}

    #[instrumented_endpoint(skip)]
    pub fn chat(&self) {}
}

fn main() {}
