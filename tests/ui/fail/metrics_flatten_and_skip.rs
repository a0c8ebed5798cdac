//! A set within that is skipped.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Cache {
    /// Entries.
    entries: Gauge,
}

#[derive(MetricSet)]
struct Store {
    #[metric(flatten, skip)] //~
    cache: Cache,
}

fn main() {}
