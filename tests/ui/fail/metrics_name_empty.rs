//! A metric with an empty name.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(name = "")] //~
    reads: Counter,
}

fn main() {}
