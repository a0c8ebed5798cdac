//! A label that belongs to the scope.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(worker_id = "7"))] //~
    reads_total: Counter,
}

fn main() {}
