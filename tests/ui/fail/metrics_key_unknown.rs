//! A misspelt argument.

use dynamo_metrics::metric::Histogram;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Time that a read took.
    #[metric(unit = seconds, bucket = [0.1, 1.0])] //~
    read_seconds: Histogram,
}

fn main() {}
