//! `MetricSet` of a struct without metrics.

use dynamo_metrics::registry::MetricSet;

#[derive(MetricSet)]
struct Store {} //~

fn main() {}
