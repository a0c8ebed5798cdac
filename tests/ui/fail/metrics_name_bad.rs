//! A name that is none.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(name = "store.reads")] //~
    reads: Counter,
}

fn main() {}
