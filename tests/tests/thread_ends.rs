//! What a thread records in the destructors of its own values, whatever is gone by then.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::label::LabelSet;
use dynamo_metrics::metric::{Counter, NativeBuckets, TraceContext};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;

/// Runs when the thread ends; a panic there would end the process.
struct Last {
    record: Arc<dyn Fn() + Send + Sync>,
    panics: Arc<AtomicUsize>,
}

impl Drop for Last {
    fn drop(&mut self) {
        if catch_unwind(AssertUnwindSafe(|| (self.record)())).is_err() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs `record` three times in each of 20 threads: as a thread's first and as its last destructor,
/// and before.
fn record_as_threads_end(record: impl Fn() + Send + Sync + 'static) {
    thread_local! {
        static EARLY: Cell<Option<Last>> = const { Cell::new(None) };
        static LATE: Cell<Option<Last>> = const { Cell::new(None) };
    }
    /// One thread at a time: those to come take over what those before left.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let record: Arc<dyn Fn() + Send + Sync> = Arc::new(record);
    let panics = Arc::new(AtomicUsize::new(0));
    for _ in 0..20 {
        let last = || Last { record: Arc::clone(&record), panics: Arc::clone(&panics) };
        let (early, late, record) = (last(), last(), Arc::clone(&record));
        let whole = move || {
            EARLY.set(Some(early));
            record();
            LATE.set(Some(late));
        };
        thread::spawn(whole).join().unwrap();
    }
    assert_eq!(panics.load(Ordering::Relaxed), 0, "panics of 40 destructors");
}

#[derive(LabelSet)]
struct Dense {
    cached: bool,
}

#[test]
fn handles_count_what_ending_threads_record() {
    let registry = Registry::new();
    let counter = registry.counter("a_total", "").register().unwrap();
    let float = registry.float_counter("b_total", "").register().unwrap();
    let open = registry.up_down_counter("c", "").register().unwrap();
    let sizes = registry.histogram("d", "").native(NativeBuckets::default()).register().unwrap();
    let waits = registry.histogram("e_seconds", "").unit(Unit::Seconds).register().unwrap();
    let (total, work, level, samples, durations) =
        (counter.clone(), float.clone(), open.clone(), sizes.clone(), waits.clone());
    record_as_threads_end(move || {
        counter.inc();
        float.inc_by(0.5);
        drop(open.enter());
        open.inc();
        sizes.observe(2.0);
        sizes.observe(-1.0);
        waits.observe_duration(Duration::from_millis(500));
    });
    assert_eq!((total.get(), work.get(), level.get()), (60, 30.0, 60));
    assert_eq!((samples.snapshot().count(), samples.snapshot().sum()), (60, 120.0));
    assert_eq!((durations.snapshot().count(), durations.snapshot().sum()), (60, 30.0));
}

#[test]
fn timers_measure_what_ending_threads_do() {
    let registry = Registry::new();
    let waits = registry.histogram("e_seconds", "").unit(Unit::Seconds).register().unwrap();
    let durations = waits.clone();
    record_as_threads_end(move || _ = waits.start_timer().observe());
    assert_eq!(durations.snapshot().count(), 60);
}

#[test]
fn exemplars_are_no_trouble_to_ending_threads() {
    let registry = Registry::new();
    let sizes = registry.histogram("d", "").exemplars().register().unwrap();
    let samples = sizes.clone();
    record_as_threads_end(move || {
        let _entered = TraceContext::new(1, 2, true).enter();
        sizes.observe(2.0);
    });
    assert_eq!(samples.snapshot().count(), 60);
}

#[test]
fn families_with_an_index_count_what_ending_threads_record() {
    let registry = Registry::new();
    let family = registry.counter("a_total", "").family().unwrap();
    let recorded = family.clone();
    record_as_threads_end(move || family.with_ref(&Dense { cached: true }, Counter::inc));
    assert_eq!(recorded.with(&Dense { cached: true }).get(), 60);
}

#[test]
fn look_ups_by_text_count_what_ending_threads_record() {
    let registry = Registry::new();
    let family = registry.counter("a_total", "").dynamic_family(["key"]).unwrap();
    let recorded = family.clone();
    record_as_threads_end(move || family.with_ref(["a"], Counter::inc));
    assert_eq!(recorded.with(["a"]).get(), 60);
}

#[test]
fn ending_threads_register_remove_and_scrape() {
    let registry = Registry::new();
    let root = registry.clone();
    record_as_threads_end(move || {
        let scope = root.component("worker");
        scope.counter("jobs_total", "").register().unwrap().inc();
        assert!(encode::text(&root).ends_with("} 1\n"));
        scope.remove();
    });
    assert_eq!(encode::text(&registry), "");
}
