//! Metrics of workers that do not tell them apart.

use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::{DynamicFamily, MetricSet};

#[derive(MetricSet)]
struct Load {
    /// Blocks in use.
    #[metric(labels(rank), of_workers)] //~
    blocks: DynamicFamily<Gauge, 1>,
}

fn main() {}
