//! An array that does not say of what.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: [Counter; 2], //~
}

fn main() {}
