//! A field that is no metric.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Counter,
    /// Where it is.
    path: String, //~
}

fn main() {}
