//! A set within that is named as a metric is.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Cache {
    /// Entries.
    entries: Gauge,
}

#[derive(MetricSet)]
struct Store {
    #[metric(flatten, name = "cache")] //~
    cache: Cache,
}

fn main() {}
