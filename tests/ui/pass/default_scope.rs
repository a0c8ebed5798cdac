//! A crate says once where its endpoints are counted.

#![deny(warnings)]

use dynamo_metrics::registry::Registry;
use dynamo_metrics::{default_scope, instrumented_endpoint};

default_scope!(Registry::global().namespace("prod").component("backend"));

mod handlers {
    pub mod chat {
        use dynamo_metrics::instrumented_endpoint;

        #[instrumented_endpoint]
        pub fn complete() {}
    }
}

#[instrumented_endpoint]
fn generate() {}

#[instrumented_endpoint(scope = Registry::global().component("other"))]
fn embed() {}

fn main() {
    generate();
    embed();
    handlers::chat::complete();
    let text = dynamo_metrics::encode::text(Registry::global());
    for line in [
        "requests_total{dynamo_component=\"backend\",dynamo_endpoint=\"generate\",dynamo_namespace=\"prod\"} 1\n",
        "requests_total{dynamo_component=\"backend\",dynamo_endpoint=\"complete\",dynamo_namespace=\"prod\"} 1\n",
        "requests_total{dynamo_component=\"other\",dynamo_endpoint=\"embed\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
