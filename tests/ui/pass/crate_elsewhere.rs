//! Derives for a crate that is called otherwise, or comes through another one.

#![deny(warnings)]

mod vendor {
    pub use dynamo_metrics as metrics;
}

/// Not the one that is meant.
mod dynamo_metrics_elsewhere {}

use vendor::metrics::label::{LabelSet, LabelValue};
use vendor::metrics::metric::Counter;
use vendor::metrics::registry::{Family, MetricSet, Registry};

#[derive(LabelValue)]
#[label(rename_all = "PascalCase", crate = crate::vendor::metrics)]
enum Tier {
    PaidUp,
}

#[derive(LabelSet)]
#[label(crate = vendor::metrics)]
struct Call {
    tier: Tier,
}

#[derive(MetricSet)]
#[metric_set(crate = vendor::metrics)]
struct Calls {
    /// Calls.
    calls_total: Family<Call, Counter>,
}

fn main() {
    let registry = Registry::new();
    let calls = Calls::register(&registry).unwrap();
    calls.calls_total.with_ref(&Call { tier: Tier::PaidUp }, Counter::inc);
    let text = vendor::metrics::encode::text(&registry);
    assert!(text.ends_with("calls_total{tier=\"PaidUp\"} 1\n"), "{text}");
}
