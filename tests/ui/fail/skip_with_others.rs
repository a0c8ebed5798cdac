//! `skip` with another argument.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

#[instrumented_endpoint]
impl Engine {
    pub fn generate(&self) {}

    #[instrumented_endpoint(name = "chat", skip)] //~
    pub fn chat(&self) {}
}

fn main() {}
