//! Two metrics of one name.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Counter,
    /// Reads of pages.
    #[metric(name = "reads_total")]
    pages: Counter, //~
}

fn main() {}
