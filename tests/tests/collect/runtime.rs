//! What a runtime does, told by real ones.

use std::hint::black_box;
use std::sync::Arc;

use dynamo_metrics::collect::TokioCollector;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::wait_for;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

fn runtime(workers: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap()
}

#[test]
fn a_runtime_is_told_to_the_letter() {
    let registry = Registry::new();
    let runtime = runtime(2);
    TokioCollector::register(&registry, runtime.handle()).unwrap();
    golden::check("tokio.txt", &golden::without_values(&encode::text(&registry)));
}

#[test]
fn a_low_cap_of_the_registry_does_not_mix_workers() {
    let registry = Registry::builder().series_cap(1).build();
    let runtime = runtime(3);
    TokioCollector::register(&registry, runtime.handle()).unwrap();
    let text = encode::text(&registry);
    assert!(text.contains("tokio_worker_parks_total{worker=\"2\"} "), "{text}");
    assert!(!text.contains("_overflow"), "{text}");
}

#[test]
fn tasks_live_and_end_and_keep_workers_busy() {
    let registry = Registry::new();
    let runtime = runtime(3);
    TokioCollector::register(&registry, runtime.handle()).unwrap();
    let value = |name: &str| {
        Page::read(&encode::text(&registry)).sum(&format!("tokio_{name}"), &[]).unwrap()
    };
    assert_eq!((value("workers"), value("alive_tasks")), (3.0, 0.0));
    let gate = Arc::new(Barrier::new(8));
    for _ in 0..7 {
        let gate = Arc::clone(&gate);
        runtime.spawn(async move {
            gate.wait().await;
        });
    }
    wait_for("seven tasks", || (value("alive_tasks") == 7.0).then_some(()));
    runtime.block_on(gate.wait());
    wait_for("their end", || (value("alive_tasks") == 0.0).then_some(()));

    let before = value("worker_busy_seconds_total");
    wait_for("a worker to work", || {
        let task = runtime.spawn(async {
            black_box((0..1_000_000_u64).fold(0, |sum, n| sum ^ n.rotate_left(9)));
        });
        runtime.block_on(task).unwrap();
        (value("worker_busy_seconds_total") > before).then_some(())
    });
    assert!(value("worker_parks_total") > 0.0);
    let page = Page::read(&encode::text(&registry));
    for worker in ["0", "1", "2"] {
        assert!(page.sum("tokio_worker_parks_total", &[("worker", worker)]).is_some(), "{worker}");
    }

    // A runtime that has ended is told as it was.
    drop(runtime);
    assert_eq!(value("workers"), 3.0);
}

#[test]
fn runtimes_are_told_apart_by_their_names() {
    let registry = Registry::new();
    let (first, second) = (runtime(1), runtime(2));
    for (name, runtime) in [("http", &first), ("engine", &second)] {
        TokioCollector::builder(runtime.handle()).name(name).register(&registry).unwrap();
    }
    let page = Page::read(&encode::text(&registry));
    let workers = |name| page.sum("tokio_workers", &[("runtime", name)]);
    assert_eq!((workers("http"), workers("engine")), (Some(1.0), Some(2.0)));
}
