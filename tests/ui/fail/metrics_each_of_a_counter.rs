//! The values of a label, of one metric.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(each(cached: bool))]
    reads_total: Counter, //~
}

fn main() {}
