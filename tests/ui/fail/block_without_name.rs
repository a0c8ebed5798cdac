//! A block of a type that has no name.

use dynamo_metrics::instrumented_endpoint;

pub trait Generate {
    fn generate(&self);
}

#[instrumented_endpoint]
impl Generate for (u8, u8) { //~
    fn generate(&self) {}
}

fn main() {}
