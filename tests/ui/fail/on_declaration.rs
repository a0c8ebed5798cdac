//! The attribute on a method that a trait only declares.

use dynamo_metrics::instrumented_endpoint;

trait Engine {
    #[instrumented_endpoint]
    async fn generate(&self, prompt: &str) -> usize; //~
}

struct Echo;

impl Engine for Echo {
    async fn generate(&self, prompt: &str) -> usize {
        prompt.len()
    }
}

fn main() {
    drop(Echo.generate("hello"));
}
