//! How a scrape asks others: each in its own time, and nobody at others' cost.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::exporter::{Backend, Backends, Exporter, Pushes};
use dynamo_metrics::foreign::Collected;
use dynamo_metrics::metric::visit::{Family, Series, Visitor};
use dynamo_metrics::registry::Registry;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tokio::sync::Notify;
use tower::Service as _;

/// A page for a scraper who waits so long.
async fn scrape(exporter: &Exporter, seconds: &str) -> String {
    let request = Request::get("/metrics").header("x-prometheus-scrape-timeout-seconds", seconds);
    send(exporter, request.body(String::new()).unwrap()).await
}

async fn send(exporter: &Exporter, request: Request<String>) -> String {
    let answer = exporter.clone().call(request).await.unwrap();
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

async fn put(exporter: &Exporter, path: &str, page: &str) {
    let request = Request::builder().method(Method::PUT).uri(path).body(page.to_owned()).unwrap();
    assert_eq!(exporter.clone().call(request).await.unwrap().status(), 200);
}

/// Makes the series of ours when a walk begins, and keeps what it sees.
struct Late<'a>(&'a dyn Fn(), Vec<String>);

impl Visitor for Late<'_> {
    fn family(&mut self, _: &Family<'_>) {
        (self.0)();
    }

    fn series(&mut self, series: &Series<'_>) {
        self.1.push(format!("{:?}", series.labels));
    }
}

fn told(name: &str) -> Collected {
    let mut collected = Collected::new();
    collected.gauge(name, "", &[], 1.0);
    collected
}

#[tokio::test(start_paused = true)]
async fn an_impatient_scraper_decides_for_itself_alone() {
    let registry = Registry::new();
    registry.add_async_collector(|| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok::<_, io::Error>(told("slow"))
    });
    let exporter = Exporter::new(&registry);
    let patient = tokio::spawn({
        let exporter = exporter.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            scrape(&exporter, "10").await
        }
    });
    assert!(!scrape(&exporter, "0.02").await.contains("slow"));
    assert!(patient.await.unwrap().contains("\nslow 1\n"));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_never_ends_is_asked_anew() {
    let registry = Registry::new();
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    registry.add_async_collector(move || {
        let first = count.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok::<_, io::Error>(told("once_stuck"))
        }
    });
    let exporter = Exporter::new(&registry);
    assert!(!scrape(&exporter, "10").await.contains("once_stuck"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(scrape(&exporter, "10").await.contains("\nonce_stuck 1\n"));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_collector_may_be_made_while_another_one_is_slow_to_start() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry);
    let started = Arc::new(Notify::new());
    let (tell, inner) = (Arc::clone(&started), exporter.clone());
    // What makes the future may look at the exporter itself.
    registry.add_async_collector(move || {
        tell.notify_one();
        let inner = inner.clone();
        async move {
            let _ = scrape(&inner, "0.2").await;
            Ok::<_, io::Error>(told("looked"))
        }
    });
    assert!(scrape(&exporter, "10").await.contains("\nlooked 1\n"));
    started.notified().await;
}

#[test]
fn gathers_at_once_lose_nothing() {
    let registry = Registry::new();
    registry.add_collector(|collected| {
        std::thread::yield_now();
        collected.gauge("told", "", &[], 1.0);
        Ok::<(), io::Error>(())
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    assert!(encode::text(&registry).contains("\ntold 1\n"));
                }
            });
        }
    });
}

#[test]
fn collectors_that_gather_each_other_do_not_wait_for_ever() {
    let registry = Registry::new();
    for name in ["a", "b"] {
        let own = registry.clone();
        registry.add_collector(move |collected| {
            let lines = encode::text(&own).lines().count();
            collected.gauge(name, "", &[], lines as f64);
            Ok::<(), io::Error>(())
        });
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let page = encode::text(&registry);
                    assert!(page.contains("\na ") && page.contains("\nb "), "{page}");
                }
            });
        }
    });
}

#[tokio::test]
async fn who_is_nearer_is_believed() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry));
    put(
        &exporter,
        "/push/a/b/c",
        "# TYPE hits_bucket gauge\nhits_bucket 1\n# TYPE y counter\ny 1\n",
    )
    .await;
    registry.add_expfmt_callback(|| {
        Ok::<_, io::Error>(
            "# TYPE hits histogram\nhits_bucket{le=\"+Inf\"} 2\nhits_sum 3\nhits_count 2\n\
             # TYPE y gauge\ny 7\n"
                .to_owned(),
        )
    });
    let page = scrape(&exporter, "10").await;
    assert!(page.contains("\nhits_count 2\n") && page.contains("\ny 7\n"), "{page}");
    for line in ["reason=\"clash\",source=\"push\"} 1\n", "reason=\"kind\",source=\"push\"} 1\n"] {
        assert!(page.contains(line), "{line} in {page}");
    }
}

#[tokio::test]
async fn what_comes_and_goes_leaves_nothing_behind() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry)
        .accept_pushes(&Pushes::new(&registry))
        .accept_backends(&Backends::new(&registry));
    let before = format!("{registry:?}");
    for i in 0..50 {
        let path = format!("/push/n{i}/c/e");
        put(&exporter, &path, "a 1\n# TYPE a_total counter\nb{x=\"\n").await;
        let entry = format!("m{i}.x.y=http://127.0.0.1:1/");
        for (method, path, body) in [
            (Method::POST, "/backends", &*entry),
            (Method::DELETE, &*path, ""),
            (Method::DELETE, "/backends", &*entry),
        ] {
            let request = Request::builder().method(method).uri(path).body(body.to_owned());
            send(&exporter, request.unwrap()).await;
        }
    }
    assert_eq!(format!("{registry:?}"), before);
    let page = encode::text(&registry);
    let errors =
        page.lines().filter(|line| line.starts_with("dynamo_metrics_collect_errors_total{"));
    let sources: BTreeSet<_> = errors.map(|line| line.split(' ').next().unwrap()).collect();
    assert!(sources.len() < 5, "{page}");
}

#[tokio::test]
async fn an_exporter_that_is_its_own_backend_waits_for_nobody() {
    let registry = Registry::new();
    registry.gauge("ours", "").register().unwrap().set(7);
    let exporter = Exporter::new(&registry);
    let server = exporter.bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(server.serve(std::future::pending()));
    for path in ["metrics?1", "metrics?2"] {
        let backend = Backend::new(&format!("http://{address}/{path}")).unwrap();
        backend.register(&registry.component(path)).unwrap();
    }
    let page = scrape(&exporter, "10").await;
    assert!(page.contains("\nours{dynamo_component=\"metrics_1\"} 7\n"), "{page}");
    assert!(page.contains("\ndynamo_metrics_backend_up{"), "{page}");
    assert!(!page.contains("reason=\"timeout\""), "{page}");
    serving.abort();
}

#[tokio::test]
async fn a_scrape_may_wait_as_long_as_anybody_likes() {
    let registry = Registry::new();
    registry.add_update_callback(|| {});
    let exporter = Exporter::new(&registry).scrape_timeout(Duration::MAX);
    assert!(!scrape(&exporter, "1e30").await.is_empty());
}

#[test]
fn a_series_of_ours_that_comes_during_a_walk_is_not_there_twice() {
    let registry = Registry::new();
    let ours = registry.gauge("g", "").dynamic_family(["k"]).unwrap();
    ours.with(["first"]).set(1);
    let (family, own) = (ours.clone(), registry.clone());
    registry.add_collector(move |collected| {
        collected.gauge("g", "", &[("k", "x")], 1.0);
        Ok::<(), io::Error>(())
    });
    own.gauge("a", "").register().unwrap();
    let make = move || family.with(["x"]).set(5);
    let mut late = Late(&make, Vec::new());
    own.gather(&mut late);
    let distinct: BTreeSet<_> = late.1.iter().collect();
    assert_eq!(distinct.len(), late.1.len(), "{:?}", late.1);
}
