//! Methods of traits: with a body where they are declared, and where they are implemented.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;

trait Engine {
    fn registry(&self) -> &Registry;

    #[instrumented_endpoint(scope = self.registry())]
    async fn warm_up(&self) -> bool {
        true
    }

    async fn generate(&self, prompt: &str) -> usize;
}

struct Echo(Registry);

impl Engine for Echo {
    fn registry(&self) -> &Registry {
        &self.0
    }

    #[instrumented_endpoint(scope = &self.0)]
    async fn generate(&self, prompt: &str) -> usize {
        prompt.len()
    }
}

fn main() {
    let echo = Echo(Registry::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(echo.warm_up()));
    assert_eq!(runtime.block_on(echo.generate("hello")), 5);
    let text = dynamo_metrics::encode::text(&echo.0);
    for endpoint in ["generate", "warm_up"] {
        let line = format!("component_requests_total{{dynamo_endpoint=\"{endpoint}\"}} 1\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
