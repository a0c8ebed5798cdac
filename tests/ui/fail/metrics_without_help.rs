//! A metric that does not say what it is.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Counter,
    writes_total: Counter, //~
}

fn main() {}
