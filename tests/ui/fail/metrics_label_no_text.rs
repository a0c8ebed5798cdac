//! A label whose value is no text.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(page = 5))] //~
    reads_total: Counter,
}

fn main() {}
