//! An alias that is no name.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(alias = "store reads")] //~
    reads_total: Counter,
}

fn main() {}
