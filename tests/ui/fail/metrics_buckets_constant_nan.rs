//! A bound that is no number, in a constant.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

const BOUNDS: &[f64] = &[0.1, f64::NAN];

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(buckets = BOUNDS)] //~
    read_seconds: Histogram,
}

fn main() {}
