//! A label that does not change, and does.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(labels(cached = "no"), each(cached: bool))] //~
    reads_total: [Counter; 2],
}

fn main() {}
