//! A misspelt argument of the set.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
#[metric_set(prefx = "store")] //~
struct Store {
    /// Reads.
    reads_total: Counter,
}

fn main() {}
