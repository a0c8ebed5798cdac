//! The attribute, by another name, on a function of a block that is measured.

use dynamo_metrics::instrumented_endpoint as endpoint;

pub struct Engine;

#[endpoint]
impl Engine {
    #[endpoint(name = "reply")]
    pub fn generate(&self) {} //~
}

fn main() {}
