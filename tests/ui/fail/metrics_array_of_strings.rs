//! An array over values that nothing bounds.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(each(page: String))] //~
    reads_total: [Counter; 2],
}

fn main() {}
