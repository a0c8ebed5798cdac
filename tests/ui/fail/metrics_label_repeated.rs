//! A label that is given twice.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{DynamicFamily, MetricSet};

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(page, page))] //~
    reads_total: DynamicFamily<Counter, 2>,
}

fn main() {}
