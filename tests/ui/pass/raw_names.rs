//! Raw identifiers are the names that they spell, and keywords may name labels.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::registry::Registry;

#[derive(LabelSet)]
struct Kind {
    r#type: bool,
}

#[derive(LabelValue)]
#[allow(non_camel_case_types)]
enum Word {
    r#match,
}

#[instrumented_endpoint(scope = registry, labels(r#type = Word::r#match, r#fn = true))]
async fn r#move(registry: &Registry) -> bool {
    registry.is_endpoint()
}

fn main() {
    assert_eq!(<Kind as LabelSet>::NAMES, ["type"]);
    assert!(Kind { r#type: true }.r#type);
    assert_eq!(Word::r#match.as_label(), "match");
    let registry = Registry::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert!(!runtime.block_on(r#move(&registry)));
    let text = dynamo_metrics::encode::text(&registry);
    assert!(text.contains("requests_total{dynamo_endpoint=\"move\",fn=\"true\",type=\"match\"} 1\n"), "{text}");
}
