//! Series of other workers, in a registry that is a worker's own.

use dynamo_metrics::encode;
use dynamo_metrics::metric::Gauge;
use dynamo_metrics::registry::{DynamicFamily, MetricSet, Registry};

/// What is known of workers.
#[derive(MetricSet)]
#[metric_set(fixed_prefix = "load")]
struct Load {
    /// Blocks in use.
    #[metric(labels(worker_id, rank), of_workers)]
    blocks: DynamicFamily<Gauge, 2>,
    /// Workers that are known.
    workers: Gauge,
}

#[test]
fn the_label_of_other_workers_stands_in_place_of_ones_own() {
    let registry = Registry::builder().worker_id(0x1f).build();
    let load = Load::register(&registry).unwrap();
    load.blocks.with_ref(["12", "0"], |blocks| blocks.set(3));
    load.workers.set(1);
    let text = encode::text(&registry);
    assert!(text.contains("load_blocks{rank=\"0\",worker_id=\"12\"} 3\n"), "{text}");
    assert!(text.contains("load_workers{worker_id=\"1f\"} 1\n"), "{text}");
    assert!(Load::INFO.metrics[0].of_workers && !Load::INFO.metrics[1].of_workers);
}

#[test]
fn who_does_not_say_that_a_metric_is_of_workers_cannot_name_them() {
    let registry = Registry::new();
    let family = registry.gauge("blocks", "").dynamic_family(["worker_id"]);
    assert!(family.is_err());
}

#[test]
fn a_worker_takes_its_series_with_it() {
    let registry = Registry::new();
    let load = Load::register(&registry).unwrap();
    for labels in [["1", "0"], ["1", "1"], ["2", "0"]] {
        load.blocks.with_ref(labels, |blocks| blocks.set(1));
    }
    let held = load.blocks.with(["1", "0"]);
    assert_eq!(load.blocks.remove_where("worker_id", "1"), 2);
    assert_eq!(load.blocks.remove_where("worker_id", "1"), 0);
    held.set(9);
    let text = encode::text(&registry);
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("load_blocks{")).collect();
    assert_eq!(lines, ["load_blocks{rank=\"0\",worker_id=\"2\"} 1"]);
}
