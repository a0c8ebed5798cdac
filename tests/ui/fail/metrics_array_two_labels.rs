//! An array over two labels.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(each(cached: bool, warm: bool))] //~
    reads_total: [Counter; 4],
}

fn main() {}
