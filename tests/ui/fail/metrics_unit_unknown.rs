//! A unit that is no base unit.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(unit = milliseconds)] //~
    read_milliseconds: Histogram,
}

fn main() {}
