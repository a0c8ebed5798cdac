//! A block of which everything is skipped.

use dynamo_metrics::instrumented_endpoint;

pub struct Engine;

#[instrumented_endpoint]
impl Engine { //~
    pub const WORKERS: u8 = 7;

    #[instrumented_endpoint(skip)]
    pub fn generate(&self) {}
}

fn main() {}
