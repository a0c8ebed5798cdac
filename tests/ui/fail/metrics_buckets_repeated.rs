//! A bound that is there twice, as a whole number.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = [1, 2, 2])] //~
    read_seconds: Histogram,
}

fn main() {}
