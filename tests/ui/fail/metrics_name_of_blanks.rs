//! A name of nothing.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(name = "__")] //~
    reads: Counter,
}

fn main() {}
