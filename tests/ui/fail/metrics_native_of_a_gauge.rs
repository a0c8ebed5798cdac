//! Native buckets of what has none.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Entries.
    #[metric(native)]
    entries: Gauge, //~
}

fn main() {}
