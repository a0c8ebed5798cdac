//! A metric that is named as one of the set within.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Cache {
    /// Entries.
    entries: Gauge,
}

#[derive(MetricSet)]
struct Store {
    /// Entries.
    entries: Gauge,
    #[metric(flatten)]
    cache: Cache, //~
}

fn main() {}
