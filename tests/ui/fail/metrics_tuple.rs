//! `MetricSet` of a struct whose fields have no names.

use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store(Counter, Counter); //~

fn main() {}
