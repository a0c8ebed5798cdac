//! Bounds in the wrong order, in a constant.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

const BOUNDS: [f64; 3] = [0.1, 1.0, 0.5];

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = BOUNDS)] //~
    read_seconds: Histogram,
}

fn main() {}
