//! Scopes that come and go leave the heap where it was, one after another and all at once, and so do
//! values that nobody ever scrapes.

use std::sync::Mutex;

use allocation_counter::measure;
use dynamo_metrics::encode;
use dynamo_metrics::metric::{Counter, NativeBuckets};
use dynamo_metrics::registry::Registry;

/// Values of all registries share pages, so that one test at a time may say what it left.
static ALONE: Mutex<()> = Mutex::new(());

/// What one scope of many does while it lives.
fn live(registry: &Registry, name: &str) {
    let scope = registry.namespace("prod").component(name);
    scope.counter("jobs_total", "Jobs.").register().unwrap().inc();
    let waits = scope.histogram("wait", "Waits.").buckets([1.0, 2.0]).register().unwrap();
    waits.observe(1.5);
}

/// The same, with all that a scope can have.
fn live_well(registry: &Registry, name: &str) {
    live(registry, name);
    let scope = registry.namespace("prod").component(name);
    let family = scope.gauge("level", "").alias("height").dynamic_family(["key"]).unwrap();
    family.with_ref(["a"], |level| level.set(3));
    let sizes = scope.endpoint("chat").with_prefix("own").histogram("size", "");
    let sizes = sizes.native(NativeBuckets::new(0, 1.0, 8.0).unwrap()).exemplars();
    sizes.register().unwrap().observe(3.0);
    scope.add_update_callback(|| ());
}

fn samples(registry: &Registry) -> usize {
    encode::text(registry).lines().filter(|line| !line.starts_with('#')).count()
}

/// Runs `round` a few times; fails if the later ones leave more on the heap.
fn rounds_leave_nothing(mut round: impl FnMut()) {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    round();
    let left: Vec<_> = (0..2).map(|_| measure(&mut round).bytes_current).collect();
    // What was let go may be freed a little later, in the round after.
    assert!(left.iter().sum::<i64>() < 32 * 1024, "bytes left by each round: {left:?}");
}

fn name(n: usize) -> String {
    format!("worker_{n}")
}

#[test]
fn ten_thousand_scopes_one_after_another_leave_nothing() {
    let registry = Registry::new();
    rounds_leave_nothing(|| {
        for n in 0..3_500 {
            live(&registry, &name(n));
            let shown = samples(&registry);
            registry.namespace("prod").component(&name(n)).remove();
            assert_eq!(shown, 6);
        }
        assert_eq!(encode::text(&registry), "");
    });
}

#[test]
fn ten_thousand_scopes_at_once_leave_nothing() {
    let registry = Registry::new();
    rounds_leave_nothing(|| {
        (0..10_000).for_each(|n| live(&registry, &name(n)));
        assert_eq!(samples(&registry), 60_000);
        (0..10_000).for_each(|n| registry.namespace("prod").component(&name(n)).remove());
        assert_eq!(encode::text(&registry), "");
    });
}

#[test]
fn scopes_that_have_everything_leave_nothing() {
    let registry = Registry::new();
    rounds_leave_nothing(|| {
        (0..500).for_each(|n| live_well(&registry, &name(n)));
        assert_eq!(samples(&registry), 500 * 22);
        (0..500).for_each(|n| registry.namespace("prod").component(&name(n)).remove());
        assert_eq!(encode::text(&registry), "");
    });
}

#[test]
fn one_removal_at_the_top_takes_ten_thousand_scopes() {
    let registry = Registry::new();
    rounds_leave_nothing(|| {
        (0..10_000).for_each(|n| live(&registry, &name(n)));
        registry.namespace("prod").remove();
        assert_eq!(encode::text(&registry), "");
    });
}

#[test]
fn a_registry_that_is_dropped_leaves_nothing() {
    rounds_leave_nothing(|| {
        let registry = Registry::new();
        (0..500).for_each(|n| live_well(&registry, &name(n)));
        assert_eq!(samples(&registry), 500 * 22);
    });
}

#[test]
fn ten_million_values_that_nobody_scrapes_leave_nothing() {
    let registry = Registry::new();
    let counter = registry.counter("calls_total", "").register().unwrap();
    let sizes = registry.histogram("size", "").native(NativeBuckets::default());
    let sizes = sizes.exemplars().register().unwrap();
    let keys = registry.counter("keys_total", "").dynamic_family(["key"]).unwrap();
    let mut all = 0_u32;
    let mut round = || {
        for n in 0..1_200_000_u32 {
            counter.inc();
            sizes.observe(f64::from(n % 1_000) + 0.5);
            keys.with_ref([["a", "b"][n as usize % 2]], Counter::inc);
            all += 3;
        }
    };
    rounds_leave_nothing(&mut round);
    assert!(all > 10_000_000, "{all}");
    assert_eq!((counter.get(), sizes.snapshot().count()), (u64::from(all) / 3, u64::from(all) / 3));
}
