//! A scope is any expression of a scope, or of a reference to one.

#![deny(warnings)]

use std::sync::Arc;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};

struct Engine {
    registry: Arc<Registry>,
    prefill: Scope,
    decode: Option<Scope>,
}

impl Engine {
    #[instrumented_endpoint(scope = &self.registry)]
    async fn reference(&self) {}

    #[instrumented_endpoint(scope = self.registry)]
    async fn place(&self) {}

    #[instrumented_endpoint(scope = self.registry.component("made"))]
    async fn value(&self) {}

    #[instrumented_endpoint(scope = self.decode.as_ref().unwrap_or(&self.prefill))]
    async fn method(&self) {}

    #[instrumented_endpoint(scope = if decode { &self.prefill } else { self.registry.as_ref() })]
    async fn condition(&self, decode: bool) -> bool {
        decode
    }

    #[instrumented_endpoint(scope = match &self.decode {
        Some(scope) => scope,
        None => &self.prefill,
    })]
    async fn choice(&self) {}

    #[instrumented_endpoint(scope = std::convert::identity(&self.prefill))]
    async fn generic(&self) {}
}

fn main() {
    let registry = Arc::new(Registry::new());
    let prefill = registry.component("prefill");
    let engine = Engine { registry: registry.clone(), prefill, decode: None };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        engine.reference().await;
        engine.place().await;
        engine.value().await;
        engine.method().await;
        assert!(engine.condition(true).await);
        engine.choice().await;
        engine.generic().await;
    });
    let text = dynamo_metrics::encode::text(&registry);
    for (component, endpoint) in [
        ("", "reference"),
        ("", "place"),
        ("dynamo_component=\"made\",", "value"),
        ("dynamo_component=\"prefill\",", "method"),
        ("dynamo_component=\"prefill\",", "condition"),
        ("dynamo_component=\"prefill\",", "choice"),
        ("dynamo_component=\"prefill\",", "generic"),
    ] {
        let line = format!("_requests_total{{{component}dynamo_endpoint=\"{endpoint}\"}} 1\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
}
