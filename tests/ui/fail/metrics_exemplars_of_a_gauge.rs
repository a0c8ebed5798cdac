//! Exemplars of what keeps none.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Entries.
    #[metric(exemplars)]
    entries: Gauge, //~
}

fn main() {}
