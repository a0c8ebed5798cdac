//! The attribute on a function that another language defines.

use dynamo_metrics::instrumented_endpoint;

unsafe extern "C" {
    #[instrumented_endpoint]
    pub fn generate(tokens: u8) -> u8; //~
}

fn main() {}
