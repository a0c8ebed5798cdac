//! Bounds in the wrong order.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = [0.1, 1.0, 0.5])] //~
    read_seconds: Histogram,
}

fn main() {}
