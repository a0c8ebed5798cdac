//! A metric that may not be there.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    reads_total: Option<Counter>, //~
}

fn main() {}
