//! `MetricSet` of an enum.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
enum Store { //~
    /// Reads.
    Reads(Counter),
}

fn main() {}
