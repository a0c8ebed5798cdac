//! A name for what is no set.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store(Counter); //~

fn main() {}
