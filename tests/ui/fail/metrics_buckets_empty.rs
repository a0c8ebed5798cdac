//! No bounds at all.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = [])] //~
    read_seconds: Histogram,
}

fn main() {}
