//! Bounds that are times.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;
use std::time::Duration;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = [Duration::from_millis(100), Duration::from_secs(1)])] //~
    read_seconds: Histogram,
}

fn main() {}
