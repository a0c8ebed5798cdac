//! What a thread records in the destructors of its own values, whatever is gone by then.

use std::cell::Cell;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::label::LabelSet;
use dynamo_metrics::metric::{Counter, NativeBuckets, TraceContext};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, Service as _, service_fn};

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

#[test]
fn requests_end_once_as_threads_end_also_in_a_layer_within_a_layer() {
    let registry = Registry::new();
    let scope = registry.component("c");
    let layer = |name| MetricsLayer::builder(&scope).route("/", name).build().unwrap();
    let answer = |_| async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) };
    let service = layer("outer").layer(layer("inner").layer(service_fn(answer)));
    record_as_threads_end(move || {
        let mut context = Context::from_waker(Waker::noop());
        let request = Request::new(Empty::<Bytes>::new());
        let answer = pin!(service.clone().call(request)).poll(&mut context);
        assert!(matches!(answer, Poll::Ready(Ok(_))));
    });
    let page = Page::read(&encode::text(&registry));
    for endpoint in ["outer", "inner"] {
        let labels = [("dynamo_endpoint", endpoint), ("outcome", "success")];
        let name = "dynamo_component_request_outcomes_total";
        assert_eq!(page.sum(name, &labels), Some(60.0), "{endpoint}");
        let name = "dynamo_component_inflight_requests";
        assert_eq!(page.sum(name, &labels[..1]), Some(0.0), "{endpoint}");
    }
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
