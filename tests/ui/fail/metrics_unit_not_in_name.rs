//! A unit that the name does not end in.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(unit = seconds)] //~
    read_time: Histogram,
}

fn main() {}
