//! Recording allocates nothing after the first time, whichever way it goes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use bytes::Bytes;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::llm::stream::{Events, Seen, Sse, StreamReader as _};
use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tower::{AcceptLayer, MethodLabels, MetricsLayer};
use futures_util::FutureExt as _;
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, service_fn};

#[derive(LabelValue)]
enum Method {
    Get,
    Post,
}

#[derive(LabelSet)]
struct Call {
    method: Method,
    cached: bool,
}

/// Runs `record` once to warm up, and tells how often it allocates after that.
fn allocations(mut record: impl FnMut()) -> u64 {
    record();
    measure(|| (0..100).for_each(|_| record())).count_total
}

#[test]
fn handles_allocate_nothing() {
    let registry = Registry::new();
    let counter = registry.counter("a_total", "").register().unwrap();
    let float = registry.float_counter("b_total", "").register().unwrap();
    let gauge = registry.gauge("c", "").register().unwrap();
    let in_flight = registry.up_down_counter("d", "").register().unwrap();
    let plain = registry.histogram("e", "").register().unwrap();
    let seconds = registry.histogram("f_seconds", "").unit(Unit::Seconds).register().unwrap();
    let record = || {
        counter.inc();
        float.inc_by(0.5);
        float.inc_by(f64::NAN);
        gauge.set(7);
        drop(in_flight.enter());
        plain.observe(0.3);
        plain.observe(-1.0);
        seconds.observe_n(0.2, 3);
        seconds.observe_duration(Duration::from_millis(30));
        seconds.start_timer().observe();
    };
    assert_eq!(allocations(record), 0);
}

#[test]
fn look_ups_allocate_nothing() {
    let registry = Registry::builder().series_cap(3).build();
    let typed = registry.counter("a_total", "").family::<Call>().unwrap();
    let open = registry.counter("b_total", "").dynamic_family(["model", "device"]).unwrap();
    let record = || {
        typed.with_ref(&Call { method: Method::Get, cached: true }, Counter::inc);
        typed.with_ref(&Call { method: Method::Post, cached: false }, Counter::inc);
        open.with_ref(["llama", "gpu0"], Counter::inc);
        open.with_ref(["with \"quotes\"", ""], Counter::inc);
        open.with(["llama", "gpu0"]).inc();
    };
    assert_eq!(allocations(record), 0);
    let mut n = 0;
    let past_the_cap = || {
        n += 1;
        let model: [&str; 4] = ["one", "two", "three", "four"];
        open.with_ref([model[n % 4], "gpu1"], Counter::inc);
    };
    past_the_cap_is_full(&open);
    assert_eq!(allocations(past_the_cap), 0);
}

/// Fills the family to its cap, and goes past it once.
fn past_the_cap_is_full(open: &dynamo_metrics::registry::DynamicFamily<Counter, 2>) {
    for device in ["gpu2", "gpu3", "gpu4"] {
        open.with_ref(["full", device], Counter::inc);
    }
}

#[test]
fn events_of_a_stream_allocate_nothing() {
    let event = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
        \"created\":1,\"model\":\"demo\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
        \"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
    let (mut reader, mut seen) = (Sse::new(Events::default()), Seen::default());
    let (start, rest) = event.split_at(70);
    let allocated = allocations(|| {
        reader.read(event, &mut seen);
        reader.read(start, &mut seen);
        reader.read(rest, &mut seen);
    });
    assert_eq!((allocated, seen.tokens), (0, 202));
}

#[test]
fn a_measured_request_allocates_what_an_unmeasured_one_does() {
    let builder = MetricsLayer::builder(&Registry::new().component("api"));
    let builder = builder.route("/exact", "exact").route("/{a}/{b}/{c}", "template");
    let builder = builder.matched_routes().method_labels(MethodLabels::standard());
    let builder = builder.choose(["chosen"], |head| (head.uri.path() == "/chosen").then_some(0));
    let layer = builder.build().unwrap();
    let (mut bare, mut measured) = (service_fn(answer), layer.layer(service_fn(answer)));
    for path in ["/exact", "/a/b/c", "/chosen", "/un/matched"] {
        let uri = Uri::from_static(path);
        let request = |uri: &Uri| {
            let mut request = Request::new(hello());
            *request.uri_mut() = uri.clone();
            request
        };
        let plain = allocations(|| read(bare.call(request(&uri))));
        assert_eq!(allocations(|| read(measured.call(request(&uri)))), plain, "{path}");
    }
}

#[test]
fn a_service_of_a_layer_allocates_nothing() {
    let scope = Registry::new().component("api");
    let builder = MetricsLayer::builder(&scope).route("/a", "a").choose(["chosen"], |_| None);
    let (layer, accept) = (builder.build().unwrap(), AcceptLayer::new(&scope).unwrap());
    // Servers ask for one with each connection, and clone it with each request.
    let made = || {
        let service = accept.layer(layer.layer(service_fn(answer::<Full<Bytes>>)));
        drop(service.clone());
        service
    };
    assert_eq!(allocations(|| drop(made())), 0);
}

#[test]
fn a_route_of_axum_allocates_nothing_once_it_is_known() {
    let scope = Registry::new().component("api");
    let (one, each) = (MetricsLayer::new(&scope), MetricsLayer::builder(&scope).matched_routes());
    let leaf = |path| axum::Router::new().route(path, axum::routing::get(|| async { "hi" }));
    let template = leaf("/models/{model}").nest("/{a}/{b}", leaf("/{c}"));
    let allocated = |router: axum::Router| {
        let mut router = router.with_state::<()>(());
        let uri = Uri::from_static("/models/llama");
        allocations(|| {
            let mut request = Request::new(axum::body::Body::empty());
            *request.uri_mut() = uri.clone();
            let answered = router.call(request).now_or_never().unwrap().unwrap();
            answered.into_body().collect().now_or_never().unwrap().unwrap();
        })
    };
    // A layer of a router boxes the answer's body, whatever layer it is.
    let plain = allocated(template.clone().layer(one.unwrap()));
    assert_eq!(allocated(template.layer(each.build().unwrap())), plain);
}

fn answer<B>(_: Request<B>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(hello())))
}

fn hello() -> Full<Bytes> {
    Full::new(Bytes::from_static(b"hello"))
}

fn read<B: http_body::Body>(answer: impl Future<Output = Result<Response<B>, Infallible>>) {
    let body = answer.now_or_never().unwrap().unwrap().into_body();
    let mut body = std::pin::pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) {}
}

#[derive(LabelValue)]
enum Failure {
    Odd,
}

#[instrumented_endpoint(
    scope = scope,
    labels(even),
    err(label = |_| Failure::Odd),
    ok_if = |value| !matches!(value, Ok(7)),
)]
fn halved(scope: &Scope, even: bool, value: u8) -> Result<u8, u8> {
    if scope.is_endpoint() || !even {
        return Err(value);
    }
    Ok(value / 2)
}

#[instrumented_endpoint(scope = scope)]
async fn doubled(scope: &Scope, value: u8) -> Result<u8, u8> {
    tokio::task::yield_now().await;
    value.checked_mul(2).filter(|_| !scope.is_endpoint()).ok_or(value)
}

#[instrumented_endpoint(scope = scope)]
fn tripled(scope: &Scope, value: u8) -> impl Future<Output = u8> + use<> {
    drop(scope.clone());
    ready(value * 3)
}

#[instrumented_endpoint(scope = scope)]
fn counted(scope: &Scope, count: u8) -> impl Stream<Item = u8> + use<> {
    drop(scope.clone());
    stream::iter(0..count)
}

#[test]
fn annotated_functions_allocate_nothing() {
    let registry = Registry::new();
    let scope = registry.component("backend");
    let mut context = Context::from_waker(Waker::noop());
    let record = || {
        assert_eq!(halved(&scope, true, 8), Ok(4));
        assert_eq!(halved(&scope, false, 7), Err(7));
        assert_eq!(tripled(&scope, 2).now_or_never(), Some(6));
        let mut run = std::pin::pin!(doubled(&scope, 3));
        assert!(run.as_mut().poll(&mut context).is_pending());
        assert_eq!(run.poll(&mut context), Poll::Ready(Ok(6)));
        let mut dropped = std::pin::pin!(doubled(&scope, 3));
        assert!(dropped.as_mut().poll(&mut context).is_pending());
        assert_eq!(counted(&scope, 5).count().now_or_never(), Some(5));
    };
    assert_eq!(allocations(record), 0);
}
