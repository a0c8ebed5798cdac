//! The attribute on a method that a trait only declares, within `async_trait`.

use dynamo_metrics::instrumented_endpoint;

#[async_trait::async_trait]
pub trait Engine {
    #[instrumented_endpoint]
    async fn generate(&self) -> u8; //~
}

fn main() {}
