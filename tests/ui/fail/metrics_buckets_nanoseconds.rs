//! Bounds that are whole numbers, in a constant.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

const BOUNDS: [u64; 2] = [100_000_000, 1_000_000_000];

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = BOUNDS)] //~
    read_seconds: Histogram,
}

fn main() {}
