//! An argument that is given twice.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    /// Reads.
    #[metric(name = "reads_total", name = "gets_total")] //~
    reads: Counter,
}

fn main() {}
