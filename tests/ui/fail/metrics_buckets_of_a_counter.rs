//! Buckets of what has none.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(buckets = [0.1, 1.0])]
    reads_total: Counter, //~
}

fn main() {}
