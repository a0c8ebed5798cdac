//! Labels that a macro by example passes on.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;

macro_rules! endpoint {
    ($function:ident($registry:ident, $text:ident), $name:literal, $scope:expr, $label:ident = $value:expr) => {
        #[instrumented_endpoint(name = $name, scope = $scope, labels($label = $value))]
        async fn $function($registry: &Registry, $text: &str) -> Result<u8, std::num::ParseIntError> {
            drop($registry.endpoint("other"));
            let n: u8 = $text.parse()?;
            Ok(n)
        }
    };
}

endpoint!(by_value(registry, text), "value", registry, cached = !text.is_empty());
endpoint!(by_text(registry, text), "text", registry.component("backend"), tier = "free");

fn main() {
    let registry = Registry::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(runtime.block_on(by_value(&registry, "x")).is_err());
    assert!(runtime.block_on(by_text(&registry, "7")).is_ok());
    let text = dynamo_metrics::encode::text(&registry);
    for line in [
        "outcomes_total{cached=\"true\",dynamo_endpoint=\"value\",outcome=\"server_error\"} 1\n",
        "requests_total{dynamo_component=\"backend\",dynamo_endpoint=\"text\",tier=\"free\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}
