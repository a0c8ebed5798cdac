//! A prefix that is no name.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
#[metric_set(prefix = "my store")] //~
struct Store {
    /// Reads.
    reads_total: Counter,
}

fn main() {}
