//! Counts what is asked of the allocator; `dynamo-metrics-bench` starts it.

use dynamo_metrics_benches::{Allocated, heap};

fn main() -> anyhow::Result<()> {
    heap(&|work| {
        let counted = allocation_counter::measure(work);
        Allocated { bytes: counted.bytes_current, count: counted.count_total }
    })
}
