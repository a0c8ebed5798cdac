//! A bound below zero.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = [-1.0, 1.0])] //~
    read_seconds: Histogram,
}

fn main() {}
