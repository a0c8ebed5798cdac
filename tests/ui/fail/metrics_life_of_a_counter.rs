//! A time to live of what stays.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(time_to_live = std::time::Duration::from_secs(60))]
    reads_total: Counter, //~
}

fn main() {}
