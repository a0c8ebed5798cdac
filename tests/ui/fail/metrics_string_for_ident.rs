//! A unit in quotation marks.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(unit = "seconds")] //~
    read_seconds: Histogram,
}

fn main() {}
