//! Recording through a handle and by labels, alone and with a second thread.

use std::time::Duration;

use divan::{Bencher, black_box};
use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;

fn main() {
    divan::main();
}

#[divan::bench(threads = [1, 2], sample_size = 100_000)]
fn counter_inc(bencher: Bencher<'_, '_>) {
    let registry = Registry::new();
    let Ok(counter) = registry.counter("x_total", "").register() else {
        return;
    };
    bencher.bench(|| black_box(&counter).inc());
}

#[divan::bench(threads = [1, 2], sample_size = 100_000)]
fn histogram_observe(bencher: Bencher<'_, '_>) {
    let registry = Registry::new();
    let Ok(histogram) = registry.histogram("x", "").register() else {
        return;
    };
    bencher.bench(|| black_box(&histogram).observe(black_box(0.3)));
}

#[divan::bench(threads = [1, 2], sample_size = 100_000)]
fn histogram_of_seconds_observe_duration(bencher: Bencher<'_, '_>) {
    let registry = Registry::new();
    let builder = registry.histogram("x_seconds", "").unit(Unit::Seconds);
    let Ok(histogram) = builder.register() else { return };
    let sample = Duration::from_millis(300);
    bencher.bench(|| black_box(&histogram).observe_duration(black_box(sample)));
}

#[divan::bench(threads = [1, 2], sample_size = 10_000)]
fn counter_by_string_labels(bencher: Bencher<'_, '_>) {
    let registry = Registry::new();
    let Ok(family) = registry.counter("x_total", "").dynamic_family(["a", "b", "c"]) else {
        return;
    };
    bencher.bench(|| family.with_ref(black_box(["one", "two", "three"]), Counter::inc));
}
