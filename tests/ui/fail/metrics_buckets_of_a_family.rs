//! Buckets of what has none, in a family.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{DynamicFamily, MetricSet};

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(page), buckets = [0.1, 1.0])]
    reads_total: DynamicFamily<Counter, 1>, //~
}

fn main() {}
