//! An array that has not one metric for each value.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(each(cached: Option<bool>))]
    reads_total: [Counter; 2], //~
}

fn main() {}
