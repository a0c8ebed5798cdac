//! A family with fewer names than labels.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{DynamicFamily, MetricSet};

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(page))]
    reads_total: DynamicFamily<Counter, 2>, //~
}

fn main() {}
