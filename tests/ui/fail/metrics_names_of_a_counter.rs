//! Label names of what has no labels.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(page))]
    reads_total: Counter, //~
}

fn main() {}
