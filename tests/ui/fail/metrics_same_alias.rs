//! A metric that is called as another one.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Counter,
    /// Reads of pages.
    #[metric(alias = "reads_total")]
    pages_total: Counter, //~
}

fn main() {}
