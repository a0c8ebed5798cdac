//! `drain` waits for bodies, not for handlers: for all of them, and for those that are measured.

mod meter;
mod served;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use bytes::Bytes;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use dynamo_metrics_tower::{MethodLabels, MetricsLayer, ResponseBody};
use futures_util::FutureExt as _;
use http::{Method, Request, Response};
use http_body_util::Empty;
use tokio::sync::watch;
use tower::{Layer as _, Service as _, service_fn};

use crate::meter::Meter;
use crate::served::{PATIENCE, h2, layer, routes, serve};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_layer_without_requests_is_drained() {
    assert!(Meter::new().layer.drain().now_or_never().is_some());
}

#[test]
fn a_task_that_waits_is_woken_by_the_last_body_and_not_before() {
    let meter = Meter::new();
    let script = || Script::new([Step::data("hello")]);
    let (mut first, second) = (meter.body(script()), meter.body(script()));
    let (mut drain, woken) = (meter.layer.drain(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    for _ in 0..2 {
        assert!(drain.poll_unpin(&mut cx).is_pending());
    }
    poll_once(&mut first);
    poll_once(&mut first);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    drop(second);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(drain.poll_unpin(&mut cx).is_ready());
    // Who is not waited for any more wakes nobody.
    drop(first);
    drop(meter.body(script()));
}

#[tokio::test]
async fn a_stream_that_runs_is_waited_for() {
    let (gate, open) = watch::channel(false);
    let (_registry, layer) = layer();
    let address = serve(routes(&open).layer(layer.clone())).await;
    let mut client = h1::Client::open(address).await.unwrap();
    client.send(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    // The handler has returned long ago when the first event is here.
    client.read_until("Hi").await.unwrap();
    let mut drained = tokio::spawn(layer.drain());
    tokio::task::yield_now().await;
    assert!((&mut drained).now_or_never().is_none());
    gate.send_replace(true);
    tokio::time::timeout(PATIENCE, drained).await.unwrap().unwrap();
}

#[tokio::test]
async fn http2_a_stream_that_runs_is_waited_for() {
    let (gate, open) = watch::channel(false);
    let (_registry, layer) = layer();
    let client = h2::Client::open(serve(routes(&open).layer(layer.clone())).await).await;
    let stream = client.send(Method::GET, "/gated").await.first_frame().await;
    let mut drained = tokio::spawn(layer.drain());
    tokio::task::yield_now().await;
    assert!((&mut drained).now_or_never().is_none());
    gate.send_replace(true);
    assert!(stream.rest().await.unwrap().ends_with(b"[DONE]\n\n"));
    tokio::time::timeout(PATIENCE, drained).await.unwrap().unwrap();
}

/// The body of an answer that stays open.
fn open_at(layer: &MetricsLayer, request: http::request::Builder) -> ResponseBody<Script> {
    let mut service = layer.layer(service_fn(|_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::new(Script::new([Step::Stuck]))))
    }));
    let answer = service.call(request.body(Empty::<Bytes>::new()).unwrap());
    answer.now_or_never().unwrap().unwrap().into_body()
}

#[test]
fn each_endpoint_is_waited_for_whatever_made_it() {
    let layer = MetricsLayer::builder(&Registry::new().component("api"))
        .route("/exact", "exact")
        .route("/template/{id}", "template")
        .choose(["chosen"], |head| (head.uri.path() == "/chosen").then_some(0))
        .grpc_service("known.Service", ["Say"])
        .upstream("worker:80", "worker")
        .method_labels(MethodLabels::standard())
        .build()
        .unwrap();
    let grpc = |path| Request::post(path).header("content-type", "application/grpc");
    for request in [
        Request::get("/exact"),
        Request::put("/exact"),
        Request::builder().method("PURGE").uri("/exact"),
        Request::get("/template/1"),
        Request::get("/chosen"),
        Request::get("/unmatched"),
        Request::get("http://worker:80/"),
        grpc("/known.Service/Say"),
        grpc("/unknown.Service/Say"),
    ] {
        let named = format!("{request:?}");
        let body = open_at(&layer, request);
        assert!(layer.drain().now_or_never().is_none(), "{named}");
        drop(body);
        assert!(layer.drain().now_or_never().is_some(), "{named}");
    }
}

#[test]
fn what_is_excluded_is_not_waited_for() {
    let builder = MetricsLayer::builder(&Registry::new().component("api"));
    let layer = builder.exclude("/live/{*rest}").build().unwrap();
    let _open = open_at(&layer, Request::get("/live/for/ever"));
    assert!(layer.drain().now_or_never().is_some());
}
