//! An argument that is like none.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(frobnicate)] //~
    reads_total: Counter,
}

fn main() {}
