//! A set within that is none.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {
    #[metric(flatten)]
    reads_total: Counter, //~
}

fn main() {}
