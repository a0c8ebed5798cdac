//! Series that live and die: what goes when it is removed, what stays, and what comes back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::metric::{Counter, NativeBuckets};
use dynamo_metrics::registry::{DynamicFamily, Family, RegisterError, Registry};
use dynamo_metrics_tests::page::Page;

const MINUTE: Duration = Duration::from_secs(60);
const OVERFLOWS: &str = "dynamo_metrics_series_overflow_total";

#[derive(Clone, Copy, LabelValue)]
enum Tier {
    Free,
    Paid,
}

/// Labels of which all sets are known.
#[derive(Clone, Copy, LabelSet)]
struct Plan {
    tier: Tier,
    cached: bool,
}

/// Labels whose sets are not known.
#[derive(LabelSet)]
struct Open {
    key: Key,
}

struct Key(&'static str);

impl LabelValue for Key {
    fn as_label(&self) -> &str {
        self.0
    }
}

const FREE: Plan = Plan { tier: Tier::Free, cached: false };
const PAID: Plan = Plan { tier: Tier::Paid, cached: true };

fn page(registry: &Registry) -> Page {
    let text = encode::text(registry);
    let mut seen = HashSet::new();
    for line in text.lines() {
        let id = line.rsplit_once(' ').map_or(line, |(id, _)| id);
        let id = if line.starts_with("# HELP") { line } else { id };
        assert!(seen.insert(id), "twice on one page: {line}");
    }
    Page::read(&text)
}

fn sum(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    page(registry).sum(name, labels)
}

#[test]
fn a_removed_series_is_gone_and_its_neighbours_stay() {
    let registry = Registry::new();
    let family = registry.counter("calls_total", "").dynamic_family(["model", "device"]).unwrap();
    family.with(["a", "0"]).inc_by(5);
    family.with(["a", "1"]).inc_by(7);
    assert!(!family.remove(["a", "2"]));
    assert!(family.remove(["a", "0"]));
    assert!(!family.remove(["a", "0"]));
    assert_eq!(
        encode::text(&registry).lines().last(),
        Some(r#"calls_total{device="1",model="a"} 7"#)
    );
    assert_eq!(page(&registry).samples().len(), 1);
}

#[test]
fn a_series_that_comes_back_starts_at_zero_and_old_handles_do_not_reach_it() {
    let registry = Registry::new();
    let family = registry.histogram("wait", "").buckets([1.0]).dynamic_family(["key"]).unwrap();
    let old = family.with(["a"]);
    old.observe(0.5);
    assert!(family.remove(["a"]));
    old.observe(3.0);
    assert_eq!(encode::text(&registry), "");
    let new = family.with(["a"]);
    assert_eq!(new.snapshot().counts(), [0, 0]);
    old.observe(0.5);
    new.observe(2.0);
    assert_eq!(sum(&registry, "wait_count", &[("key", "a")]), Some(1.0));
    assert_eq!(sum(&registry, "wait_sum", &[]), Some(2.0));
    assert_eq!(old.snapshot().count(), 3);
    drop(old);
    assert_eq!(sum(&registry, "wait_count", &[("key", "a")]), Some(1.0));
}

#[test]
fn sets_that_have_an_index_are_removed_and_made_again() {
    let registry = Registry::new();
    let family: Family<Plan, Counter> = registry.counter("calls_total", "").family().unwrap();
    let clone = family.clone();
    for round in 0..3 {
        assert!(!family.remove(&FREE), "round {round}");
        family.with_ref(&FREE, |calls| calls.inc_by(3));
        clone.with(&PAID).inc();
        let held = clone.with(&FREE);
        held.inc();
        assert_eq!(sum(&registry, "calls_total", &[("tier", "free")]), Some(4.0));
        assert!(clone.remove(&FREE));
        held.inc();
        assert_eq!(page(&registry).samples().len(), 1);
        assert_eq!(sum(&registry, "calls_total", &[("tier", "paid")]), Some(1.0));
        assert!(family.remove(&PAID));
        assert_eq!(encode::text(&registry), "");
    }
}

#[test]
fn sets_without_an_index_are_removed_and_made_again() {
    let registry = Registry::new();
    let family: Family<Open, Counter> = registry.counter("calls_total", "").family().unwrap();
    for _ in 0..3 {
        family.with(&Open { key: Key("a") }).inc();
        assert_eq!(sum(&registry, "calls_total", &[("key", "a")]), Some(1.0));
        assert!(family.remove(&Open { key: Key("a") }));
        assert!(!family.remove(&Open { key: Key("a") }));
        assert_eq!(encode::text(&registry), "");
    }
}

#[test]
fn removal_reaches_the_alias_too() {
    let registry = Registry::new();
    let builder = registry.counter("calls_total", "").alias("old_calls_total");
    let family = builder.dynamic_family(["key"]).unwrap();
    family.with(["a"]).inc();
    assert_eq!(sum(&registry, "old_calls_total", &[]), Some(1.0));
    assert!(family.remove(["a"]));
    assert_eq!(encode::text(&registry), "");
    family.with(["a"]).inc_by(2);
    assert_eq!(sum(&registry, "calls_total", &[]), Some(2.0));
    assert_eq!(sum(&registry, "old_calls_total", &[]), Some(2.0));
}

#[test]
fn a_scope_takes_its_series_aliases_callbacks_and_scopes_below_with_it() {
    let registry = Registry::new();
    let prod = registry.namespace("prod");
    let worker = prod.component("worker");
    let neighbour = prod.component("neighbour").counter("jobs_total", "").register().unwrap();
    let jobs = worker.counter("jobs_total", "").alias("tasks_total").register().unwrap();
    let other = worker.with_prefix("planner").gauge("replicas", "").register().unwrap();
    let none = worker.with_prefix("").up_down_counter("open", "").register().unwrap();
    let chat = worker.endpoint("chat");
    let waits = chat.histogram("wait_seconds", "").native(NativeBuckets::default());
    let waits = waits.dynamic_family(["model"]).unwrap();
    let dense = chat.counter("calls_total", "").family::<Plan>().unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    for scope in [&worker, &chat, &worker.with_prefix("planner")] {
        let runs = Arc::clone(&runs);
        scope.add_update_callback(move || _ = runs.fetch_add(1, Ordering::Relaxed));
    }
    let record = || {
        jobs.inc();
        neighbour.inc();
        other.set(3);
        none.inc();
        waits.with(["a"]).observe(0.1);
        dense.with_ref(&PAID, Counter::inc);
    };
    record();
    assert_eq!(sum(&registry, "dynamo_component_tasks_total", &[]), Some(1.0));
    assert_eq!(sum(&registry, "planner_replicas", &[]), Some(3.0));
    assert_eq!(runs.load(Ordering::Relaxed), 6);
    assert_eq!(Arc::strong_count(&runs), 4);

    worker.remove();
    assert_eq!(Arc::strong_count(&runs), 1);
    record();
    assert_eq!(page(&registry).samples().len(), 1);
    assert_eq!(sum(&registry, "dynamo_component_jobs_total", &[]), Some(2.0));
    assert_eq!(runs.load(Ordering::Relaxed), 6);
    let _guard = none.enter();
    waits.remove(["a"]);
    worker.remove();
    chat.remove();
}

#[test]
fn a_scope_removed_through_any_prefix_goes_under_all_of_them() {
    let registry = Registry::new();
    let place = registry.component("worker");
    place.counter("a_total", "").register().unwrap().inc();
    place.with_prefix("x").counter("b_total", "").register().unwrap().inc();
    place.with_prefix("y").endpoint("e").counter("c_total", "").register().unwrap().inc();
    assert_eq!(page(&registry).samples().len(), 3);
    place.with_prefix("z").remove();
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn who_registers_through_a_removed_scope_is_told() {
    let registry = Registry::new();
    let worker = registry.component("worker");
    let (clone, below, prefixed) =
        (worker.clone(), worker.endpoint("e"), worker.with_prefix("other"));
    worker.remove();
    for scope in [&worker, &clone, &below, &prefixed, &worker.endpoint("f")] {
        let gone = |result: Result<(), RegisterError>| {
            assert_eq!(result, Err(RegisterError::ScopeRemoved));
        };
        gone(scope.counter("a_total", "").register().map(drop));
        gone(scope.float_counter("b_total", "").dynamic_family(["k"]).map(drop));
        gone(scope.histogram("c", "").family::<Plan>().map(drop));
        gone(scope.gauge("d", "").alias("e").register().map(drop));
    }
    assert_eq!(encode::text(&registry), "");
    let again = registry.component("worker");
    again.counter("a_total", "").register().unwrap();
    assert_eq!(encode::text(&registry).lines().count(), 2);
    worker.remove();
    assert_eq!(encode::text(&registry).lines().count(), 2, "an old handle removed the new scope");
}

#[test]
fn a_scope_that_comes_back_is_empty_and_starts_at_zero() {
    let registry = Registry::new();
    let old = registry.component("worker").counter("jobs_total", "").register().unwrap();
    for round in 0..3 {
        let worker = registry.component("worker");
        let jobs = worker.counter("jobs_total", "").register().unwrap();
        jobs.inc();
        old.inc_by(10);
        let expected = if round == 0 { 11.0 } else { 1.0 };
        assert_eq!(sum(&registry, "dynamo_component_jobs_total", &[]), Some(expected));
        worker.remove();
        assert_eq!(encode::text(&registry), "");
    }
}

#[test]
fn the_root_cannot_go_but_all_that_is_in_it_does() {
    let registry = Registry::new();
    registry.gauge("a", "").register().unwrap().set(1);
    registry.component("worker").gauge("a", "").register().unwrap().set(1);
    registry.remove();
    assert_eq!(encode::text(&registry), "");
    registry.gauge("a", "").register().unwrap().set(2);
    registry.component("worker").gauge("b", "").register().unwrap();
    assert_eq!(page(&registry).samples().len(), 2);
}

#[test]
fn the_callbacks_of_the_root_go_with_what_is_in_it() {
    let registry = Registry::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    registry.add_update_callback(move || _ = counted.fetch_add(1, Ordering::Relaxed));
    registry.remove();
    page(&registry);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn a_callback_does_not_outlive_a_scope_that_was_gone_before_it_came() {
    let registry = Registry::new();
    let worker = registry.component("worker");
    let chat = worker.endpoint("chat");
    worker.remove();
    let runs = Arc::new(AtomicUsize::new(0));
    for scope in [&worker, &chat, &worker.endpoint("new")] {
        let runs = Arc::clone(&runs);
        scope.add_update_callback(move || _ = runs.fetch_add(1, Ordering::Relaxed));
    }
    page(&registry);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn a_name_without_users_is_free_for_another_type() {
    let registry = Registry::new();
    let (one, two) = (registry.component("one"), registry.component("two"));
    let held = one.counter("load", "").alias("old_load").register().unwrap();
    two.counter("load", "").dynamic_family(["key"]).unwrap().with(["a"]).inc();
    let gauge = || registry.component("three").float_gauge("load", "").register();
    assert!(matches!(gauge(), Err(RegisterError::Conflict { .. })));
    one.remove();
    assert!(matches!(gauge(), Err(RegisterError::Conflict { .. })));
    two.remove();
    let gauge = gauge().unwrap();
    gauge.set(0.5);
    held.inc();
    assert_eq!(
        encode::text(&registry).lines().last(),
        Some(r#"dynamo_component_load{dynamo_component="three"} 0.5"#)
    );
    registry.component("three").histogram("old_load", "").register().unwrap();
}

#[test]
fn series_that_nobody_records_to_go_after_their_time() {
    let time = Manual::new();
    time.run(|| {
        let registry = Registry::new();
        let calls = registry.counter("calls_total", "").alias("old_total").time_to_live(MINUTE);
        let calls = calls.dynamic_family(["key"]).unwrap();
        let level = registry.gauge("level", "").time_to_live(MINUTE).family::<Plan>().unwrap();
        calls.with(["idle"]).inc();
        calls.with(["busy"]).inc();
        let held = calls.with(["held"]);
        for minute in 1..4 {
            page(&registry);
            calls.with_ref(["busy"], Counter::inc);
            level.with_ref(&FREE, |level| level.set(7));
            page(&registry);
            time.advance(Duration::from_secs(59));
            assert_eq!(sum(&registry, "level", &[]), Some(7.0), "minute {minute}");
            let idle = (minute == 1).then_some(1.0);
            assert_eq!(sum(&registry, "calls_total", &[("key", "idle")]), idle);
            assert_eq!(sum(&registry, "old_total", &[("key", "idle")]), idle);
            assert_eq!(sum(&registry, "calls_total", &[("key", "held")]), Some(0.0));
            level.with_ref(&FREE, |level| level.set(7));
            time.advance(Duration::from_secs(1));
            calls.with_ref(["busy"], Counter::inc);
            page(&registry);
        }
        assert_eq!(sum(&registry, "calls_total", &[("key", "busy")]), Some(7.0));
        drop(held);
        time.advance(MINUTE);
        page(&registry);
        time.advance(MINUTE);
        page(&registry);
        assert_eq!(encode::text(&registry), "");
        calls.with(["busy"]).inc();
        assert_eq!(sum(&registry, "calls_total", &[("key", "busy")]), Some(1.0));
    });
}

#[test]
fn past_the_cap_labels_read_overflow_until_places_come_back() {
    let registry = Registry::builder().series_cap(2).build();
    let calls = registry.counter("calls_total", "").dynamic_family(["model", "key"]).unwrap();
    let shown = |key| sum(&registry, "calls_total", &[("key", key)]);
    for key in ["a", "b", "c", "d", "c"] {
        calls.with_ref(["m", key], Counter::inc);
    }
    let over = [("model", "_overflow"), ("key", "_overflow")];
    assert_eq!(sum(&registry, "calls_total", &over), Some(3.0));
    assert_eq!(sum(&registry, OVERFLOWS, &[]), Some(3.0));
    assert_eq!((shown("a"), shown("b"), shown("c")), (Some(1.0), Some(1.0), None));
    assert!(!calls.remove(["m", "c"]));
    assert!(calls.remove(["m", "a"]));
    calls.with_ref(["m", "c"], Counter::inc);
    calls.with_ref(["m", "a"], Counter::inc);
    assert_eq!((shown("a"), shown("b"), shown("c")), (None, Some(1.0), Some(1.0)));
    assert_eq!(sum(&registry, "calls_total", &over), Some(4.0));
    assert_eq!(sum(&registry, OVERFLOWS, &[]), Some(4.0));
}

#[test]
fn places_under_the_cap_come_back_by_scope_and_by_time_too() {
    let time = Manual::new();
    time.run(|| {
        let registry = Registry::builder().series_cap(2).build();
        for round in 0..5 {
            let scope = registry.component("worker");
            let calls = scope.counter("calls_total", "").time_to_live(MINUTE);
            let calls: DynamicFamily<_, 1> = calls.dynamic_family(["key"]).unwrap();
            for keys in [["a", "b"], ["c", "d"]] {
                for key in keys {
                    calls.with([key]).inc();
                }
                assert_eq!(page(&registry).samples().len(), 2, "round {round}");
                time.advance(MINUTE + MINUTE);
                page(&registry);
            }
            calls.with(["e"]).inc();
            scope.remove();
        }
        assert_eq!(encode::text(&registry), "");
    });
}

#[tokio::test]
async fn an_attributes_endpoint_that_was_removed_comes_back_with_its_next_call() {
    #[dynamo_metrics::instrumented_endpoint(scope = scope)]
    async fn generate(scope: &dynamo_metrics::registry::Scope) {}

    let registry = Registry::new();
    let component = registry.component("worker");
    for _ in 0..2 {
        generate(&component).await;
        generate(&component).await;
        let line = "requests_total{dynamo_component=\"worker\",dynamo_endpoint=\"generate\"} 2\n";
        assert!(encode::text(&registry).contains(line));
        component.endpoint("generate").remove();
        assert!(!encode::text(&registry).contains(line));
    }
}
