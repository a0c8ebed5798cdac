//! A set with two prefixes.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
#[metric_set(prefix = "store", fixed_prefix = "shop")] //~
struct Store {
    /// Reads.
    reads_total: Counter,
}

fn main() {}
