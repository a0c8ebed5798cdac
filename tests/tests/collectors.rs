//! Callbacks and collectors that block, fail and go: scrapes answer, and nothing outlives its handle.

mod scraped;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::exporter::{Backend, Exporter};
use dynamo_metrics::foreign::{Collected, Format};
use dynamo_metrics::registry::{CollectorHandle, Registry, Scope};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{Peer, Step, TEXT};
use http::Request;

use crate::scraped::{FORMATS, ask, endpoint, page, read_back, scrape};

/// Something that blocks until the story lets go of it, and counts how often it is asked.
struct Gate {
    entered: Receiver<()>,
    open: Sender<()>,
    calls: Arc<AtomicUsize>,
}

impl Gate {
    /// A gate, and what waits at it.
    fn new() -> (Self, impl Fn() + Send + Sync + 'static) {
        let (enter, entered) = mpsc::channel();
        let (open, opened) = mpsc::channel::<()>();
        let calls = Arc::new(AtomicUsize::new(0));
        let (counted, opened) = (Arc::clone(&calls), Mutex::new(opened));
        let wait = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = enter.send(());
            // Ends when the story does, too.
            let _ = opened.lock().unwrap().recv();
        };
        (Self { entered, open, calls }, wait)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// A collector that blocks, and then has a series.
fn slow(scope: &Scope) -> (Gate, CollectorHandle) {
    let (gate, wait) = Gate::new();
    let handle = scope.add_collector(move |collected| {
        wait();
        collected.gauge("slow", "Slow.", &[], 1.0);
        Ok::<(), io::Error>(())
    });
    (gate, handle)
}

fn quick(scope: &Scope, name: &'static str) -> CollectorHandle {
    scope.add_collector(move |collected| {
        collected.gauge(name, "Quick.", &[], 1.0);
        Ok::<(), io::Error>(())
    })
}

/// A page for a scraper that waits for a second and a half.
async fn brief(exporter: &Exporter) -> Page {
    let request = Request::get("/metrics").header("x-prometheus-scrape-timeout-seconds", "1.5");
    ask(exporter, request.body(String::new()).unwrap()).await.page()
}

/// A value, as soon as a page has it: a collector that was late may still be on its way out, and is
/// not asked until it is.
async fn once_it_is_there(exporter: &Exporter, name: &str) -> f64 {
    let wait = async {
        loop {
            if let Some(value) = page(exporter).await.sum(name, &[]) {
                return value;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap()
}

fn errors(page: &Page) -> f64 {
    page.sum("dynamo_metrics_collect_errors_total", &[]).unwrap_or(0.0)
}

#[tokio::test]
async fn a_collector_that_blocks_keeps_no_scrape_from_answering() {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let (gate, _slow) = slow(&registry);
    let exporter = Exporter::new(&registry);
    for _ in 0..2 {
        let page = brief(&exporter).await;
        assert_eq!((page.sum("level", &[]), page.sum("slow", &[])), (Some(5.0), None));
        assert!(errors(&page) >= 1.0, "{page:?}");
    }
    assert_eq!(gate.calls(), 1);
    drop(gate);
    assert_eq!(once_it_is_there(&exporter, "slow").await, 1.0);
}

#[tokio::test]
async fn an_update_callback_that_blocks_keeps_no_scrape_from_answering() {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let (gate, wait) = Gate::new();
    registry.add_update_callback(wait);
    let exporter = Exporter::new(&registry);
    for _ in 0..2 {
        let page = brief(&exporter).await;
        assert_eq!(page.sum("level", &[]), Some(5.0));
        let source = [("source", "update_callback")];
        let counted = page.sum("dynamo_metrics_collect_errors_total", &source);
        assert!(counted >= Some(1.0), "{page:?}");
    }
    assert_eq!(gate.calls(), 1);
}

#[tokio::test]
async fn an_update_callback_that_blocks_keeps_no_other_from_running() {
    let registry = Registry::new();
    let levels = ["before", "after"].map(|name| registry.gauge(name, "Ours.").register().unwrap());
    let [before, after] = levels;
    let (_gate, wait) = Gate::new();
    registry.add_update_callback(move || before.set(5));
    registry.add_update_callback(wait);
    registry.add_update_callback(move || after.set(5));
    let exporter = Exporter::new(&registry);
    for _ in 0..2 {
        let page = brief(&exporter).await;
        assert_eq!((page.sum("before", &[]), page.sum("after", &[])), (Some(5.0), Some(5.0)));
    }
}

#[tokio::test]
async fn others_are_asked_while_many_block() {
    let registry = Registry::new();
    let blocked: Vec<_> = (0..40).map(|_| slow(&registry)).collect();
    let _quick = quick(&registry, "quick");
    let _async = registry.add_async_collector(async || {
        let mut collected = Collected::new();
        collected.gauge("waited_for", "Async.", &[], 1.0);
        Ok::<_, io::Error>(collected)
    });
    let _page = registry.add_expfmt_callback(|| Ok::<_, io::Error>("told 1\n".to_owned()));
    let level = registry.gauge("level", "Ours.").register().unwrap();
    registry.add_update_callback(move || level.set(5));
    let exporter = Exporter::new(&registry);
    for _ in 0..3 {
        let page = brief(&exporter).await;
        for name in ["quick", "waited_for", "told"] {
            assert_eq!(page.sum(name, &[]), Some(1.0), "{name}");
        }
        assert_eq!(page.sum("level", &[]), Some(5.0));
    }
    assert!(blocked.iter().all(|(gate, _)| gate.calls() == 1));
}

#[test]
fn a_collector_that_blocks_keeps_no_runtime_from_ending() {
    let registry = Registry::new();
    let (gate, _slow) = slow(&registry);
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let page = runtime.block_on(brief(&Exporter::new(&registry)));
        drop(runtime);
        ended.send(page)
    });
    assert!(end.recv_timeout(Duration::from_secs(20)).is_ok(), "it still waits");
    assert_eq!(gate.calls(), 1);
}

#[tokio::test]
async fn scrapes_at_once_ask_a_slow_collector_once() {
    let registry = Registry::new();
    let (gate, _slow) = slow(&registry);
    let exporter = Exporter::new(&registry);
    let scrapes: Vec<_> = (0..8)
        .map(|_| {
            let exporter = exporter.clone();
            tokio::spawn(async move { page(&exporter).await })
        })
        .collect();
    // All of them have come as far as they come alone, since there is one thread for them.
    tokio::task::yield_now().await;
    gate.entered.recv_timeout(Duration::from_secs(10)).unwrap();
    gate.open.send(()).unwrap();
    for scrape in scrapes {
        assert_eq!(scrape.await.unwrap().sum("slow", &[]), Some(1.0));
    }
    assert_eq!(gate.calls(), 1);
    gate.open.send(()).unwrap();
    assert_eq!(once_it_is_there(&exporter, "slow").await, 1.0);
    assert_eq!(gate.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn scrapes_at_once_fetch_a_slow_backend_once() {
    let registry = Registry::new();
    let peer = Peer::start([Step::Hang]).await;
    let _ = Backend::new(&peer.url()).unwrap().register(&registry).unwrap();
    let exporter = Exporter::new(&registry);
    let pages = tokio::join!(page(&exporter), page(&exporter), page(&exporter));
    for page in [pages.0, pages.1, pages.2] {
        assert_eq!(page.sum("dynamo_metrics_backend_up", &[]), Some(0.0));
    }
    assert_eq!(peer.heads().len(), 1);
    page(&exporter).await;
    assert_eq!(peer.heads().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_scraper_that_leaves_takes_no_fetch_from_another() {
    let registry = Registry::new();
    let page_of_it = Step::Drip(dynamo_metrics_tests::peer::ok(TEXT, "a 1\n"));
    let peer = Peer::start([page_of_it]).await;
    let minute = Duration::from_secs(600);
    let _ = Backend::new(&peer.url()).unwrap().timeout(minute).register(&registry).unwrap();
    let exporter = Exporter::new(&registry).scrape_timeout(minute);
    let first = tokio::spawn({
        let exporter = exporter.clone();
        async move { page(&exporter).await }
    });
    peer.asked(1).await;
    let second = tokio::spawn(async move { page(&exporter).await });
    tokio::task::yield_now().await;
    first.abort();
    assert_eq!(second.await.unwrap().sum("a", &[]), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn an_async_collector_that_never_ends_is_left_out() {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let _never = registry.add_async_collector(std::future::pending::<io::Result<Collected>>);
    let exporter = Exporter::new(&registry);
    for scrapes in 1..=3 {
        let page = page(&exporter).await;
        assert_eq!(page.sum("level", &[]), Some(5.0));
        assert_eq!(errors(&page), f64::from(scrapes));
    }
}

#[tokio::test]
async fn collectors_that_panic_cost_nothing_else() {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let _in_future =
        registry.add_async_collector(async || -> io::Result<Collected> { panic!("a") });
    let _in_call = registry
        .add_async_collector(|| -> std::future::Ready<io::Result<Collected>> { panic!("b") });
    let _in_collector = registry.add_collector(|_| -> io::Result<()> { panic!("c") });
    let _in_callback = registry.add_expfmt_callback(|| -> io::Result<String> { panic!("d") });
    registry.add_update_callback(|| panic!("e"));
    let _quick = quick(&registry, "quick");
    let exporter = Exporter::new(&registry);
    for scrapes in 1..=2 {
        let page = page(&exporter).await;
        assert_eq!((page.sum("level", &[]), page.sum("quick", &[])), (Some(5.0), Some(1.0)));
        assert_eq!(errors(&page), 5.0 * f64::from(scrapes));
    }
}

#[tokio::test]
async fn what_was_told_before_a_failure_stands() {
    let registry = Registry::new();
    let _fails = registry.add_collector(|collected| {
        collected.gauge("before", "Told.", &[], 1.0);
        Err::<(), _>("and then it failed")
    });
    let page = page(&Exporter::new(&registry)).await;
    assert_eq!((page.sum("before", &[]), errors(&page)), (Some(1.0), 1.0));
}

#[tokio::test]
async fn what_a_collector_tells_wrongly_is_left_out_and_counted() {
    let registry = Registry::new();
    let _wrong = registry.component("pool").add_collector(|collected| {
        collected.counter("back_total", "Back.", &[], -1.0);
        collected.counter("nan_total", "NaN.", &[], f64::NAN);
        collected.gauge("not a name", "Name.", &[], 1.0);
        collected.gauge("label", "Label.", &[("1", "x")], 1.0);
        collected.gauge("twice", "Twice.", &[("a", "x")], 1.0);
        collected.gauge("twice", "Twice.", &[("a", "x")], 2.0);
        collected.gauge("label_twice", "Label.", &[("a", "x"), ("a", "y")], 1.0);
        let falling = [(1.0, 3.0), (f64::INFINITY, 2.0)];
        collected.histogram("falling", "Falling.", &[], &falling, 1.0);
        collected.histogram("endless", "Endless.", &[], &[(1.0, 3.0)], 1.0);
        collected.page("right 1\nwrong one\n", Format::Text);
        collected.gauge("odd", "\" \\ \n", &[("a", "\" \\ \n é")], f64::NAN);
        Ok::<(), io::Error>(())
    });
    let exporter = Exporter::new(&registry);
    let page = scrape(&exporter).await.page();
    let names = page.samples().iter().map(|it| &*it.name);
    let names: Vec<_> = names.filter(|name| !name.starts_with("dynamo_metrics_")).collect();
    assert_eq!(names, ["odd", "right", "twice"]);
    assert_eq!(page.sum("twice", &[("dynamo_component", "pool"), ("a", "x")]), Some(1.0));
    assert!(page.sum("odd", &[("a", "\" \\ \n é")]).unwrap().is_nan());
    assert_eq!(errors(&page), 9.0);
    let sources = page.samples().iter().filter_map(|it| it.labels.get("source"));
    assert!(sources.into_iter().all(|source| source == "collector"));
    for format in FORMATS {
        let _ = read_back(&exporter, format).await;
    }
}

#[tokio::test]
async fn a_removed_collector_leaves_nothing_behind() {
    let registry = Registry::new();
    let handle = quick(&endpoint(&registry), "quick");
    let fails = registry.add_collector(|_| Err::<(), _>("always"));
    let exporter = Exporter::new(&registry);
    assert_eq!(page(&exporter).await.sum("quick", &[]), Some(1.0));
    handle.remove();
    fails.remove();
    let after = page(&exporter).await;
    assert_eq!(after.sum("quick", &[]), None);
    // What was counted stays counted, and goes up no more.
    assert!(errors(&after) <= 1.0);
    handle.remove();
}

#[tokio::test]
async fn a_collector_that_is_removed_while_it_runs_leaves_nothing_behind() {
    let registry = Registry::new();
    let (gate, handle) = slow(&registry);
    let exporter = Exporter::new(&registry);
    let running = tokio::spawn({
        let exporter = exporter.clone();
        async move { brief(&exporter).await }
    });
    tokio::task::yield_now().await;
    gate.entered.recv_timeout(Duration::from_secs(10)).unwrap();
    handle.remove();
    gate.open.send(()).unwrap();
    let _ = running.await.unwrap();
    assert_eq!(page(&exporter).await.sum("slow", &[]), None);
    assert_eq!(gate.calls(), 1);
}

#[tokio::test]
async fn a_removed_scope_takes_its_collectors_along() {
    let registry = Registry::new();
    let prod = registry.namespace("prod");
    let scope = prod.component("backend");
    let calls = Arc::new(AtomicUsize::new(0));
    let count = || {
        let calls = Arc::clone(&calls);
        move || calls.fetch_add(1, Ordering::Relaxed)
    };
    let counted = [count(), count(), count(), count()];
    let [one, two, three, four] = counted;
    let _one = scope.add_collector(move |collected| {
        one();
        collected.gauge("one", "One.", &[], 1.0);
        Ok::<(), io::Error>(())
    });
    let _two = scope.add_expfmt_callback(move || {
        two();
        Ok::<_, io::Error>("two 1\n".to_owned())
    });
    let _three = scope.add_async_collector(move || {
        three();
        let mut collected = Collected::new();
        collected.gauge("three", "Three.", &[], 1.0);
        std::future::ready(Ok::<_, io::Error>(collected))
    });
    scope.add_update_callback(move || {
        four();
    });
    let exporter = Exporter::new(&registry);
    let before = page(&exporter).await;
    assert!(["one", "two", "three"].iter().all(|name| before.sum(name, &[]) == Some(1.0)));
    prod.remove();
    let after = page(&exporter).await;
    assert!(["one", "two", "three"].iter().all(|name| after.sum(name, &[]).is_none()));
    assert_eq!(calls.load(Ordering::Relaxed), 4);
    let late = quick(&scope, "late");
    assert_eq!(page(&exporter).await.sum("late", &[]), None);
    late.remove();
}

#[test]
fn a_gather_waits_for_a_collector_that_runs_elsewhere() {
    let registry = Registry::new();
    let (gate, _slow) = slow(&registry);
    let gather = || {
        let registry = registry.clone();
        std::thread::spawn(move || Page::read(&encode::text(&registry)).sum("slow", &[]))
    };
    let gathers = [gather(), gather()];
    for _ in &gathers {
        gate.entered.recv_timeout(Duration::from_secs(10)).unwrap();
        gate.open.send(()).unwrap();
    }
    for gather in gathers {
        assert_eq!(gather.join().unwrap(), Some(1.0));
    }
    assert_eq!(gate.calls(), 2);
}

#[test]
fn a_collector_may_gather_the_registry_that_asks_it() {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let _within = registry.add_collector({
        let registry = registry.clone();
        move |collected| {
            let length = encode::text(&registry).len();
            collected.gauge("length", "Of the page.", &[], length as f64);
            Ok::<(), io::Error>(())
        }
    });
    let page = Page::read(&encode::text(&registry));
    assert!(page.sum("length", &[]).is_some_and(|length| length > 0.0));
}
