//! A cap of what is bounded by its type.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{Family, MetricSet};
use dynamo_metrics::label::LabelSet;

#[derive(LabelSet)]
struct Page {
    cached: bool,
}

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(series_cap = 10)]
    reads_total: Family<Page, Counter>, //~
}

fn main() {}
