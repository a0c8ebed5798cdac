//! `self` as a label.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

impl Engine {
    #[instrumented_endpoint(labels(self))] //~
    pub async fn generate(&self) {}
}

fn main() {}
