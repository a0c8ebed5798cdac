//! A family whose labels have no names.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{DynamicFamily, MetricSet};

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: DynamicFamily<Counter, 1>, //~
}

fn main() {}
