//! What can only be said of one function.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

#[instrumented_endpoint(stream)] //~
impl Engine {
    #[instrumented_endpoint(skip)]
    pub fn generate(&self) {}
}

fn main() {}
