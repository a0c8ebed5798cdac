//! The layer among others: what it sees depends on where it stands, and it changes nothing for them.

mod meter;
mod served;

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Script, Step};
use dynamo_metrics_tower::{AcceptLayer, MetricsLayer, RequestBody, TimeoutLayer};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::watch;
use tower::retry::{Policy, Retry};
use tower::{BoxError, Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use crate::meter::Meter;
use crate::served::h2::Client;
use crate::served::{layer, routes, serve};

type Whole = Full<Bytes>;

/// Tries again until something has succeeded.
#[derive(Clone)]
struct Stubborn;

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for Stubborn {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Ready<()>> {
        let failed = result.as_ref().map_or(true, |answer| answer.status().is_server_error());
        failed.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

fn hello() -> Request<Whole> {
    Request::new(Full::new(Bytes::from_static(b"hello")))
}

/// A request to `path` that takes gzip.
fn takes_gzip(path: &str) -> Request<Body> {
    Request::get(path).header("accept-encoding", "gzip").body(Body::empty()).unwrap()
}

/// A text that gets shorter, and a stream of two tokens.
fn pages() -> Router {
    let stream = || {
        let chunks = [openai::content("Hi"), openai::content(" you"), DONE.to_owned()];
        let body = Body::from_stream(stream::iter(chunks.map(Ok::<_, Infallible>)));
        ready(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
    };
    Router::new()
        .route("/text", get(|| async { "again ".repeat(1_000) }))
        .route("/sse", get(stream))
}

fn read_gzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// Says hello to who says it; the first two of `calls` fail, having read the request.
async fn flaky(
    calls: Arc<AtomicUsize>,
    request: Request<RequestBody<Whole>>,
) -> Result<Response<Whole>, Infallible> {
    let body = request.into_body().collect().await?.to_bytes();
    let mut response = Response::new(Full::new(body));
    if calls.fetch_add(1, Ordering::Relaxed) < 2 {
        *response.status_mut() = StatusCode::BAD_GATEWAY;
    }
    Ok(response)
}

#[tokio::test]
async fn inside_compression_the_layer_sees_events_and_their_own_bytes() {
    let meter = Meter::new();
    let always = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let app = pages().layer(meter.layer.clone()).layer(always);
    let answer = app.clone().oneshot(takes_gzip("/text")).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(read_gzip(&bytes), "again ".repeat(1_000));
    assert_eq!(meter.counts().response_bytes, 6_000.0);
    let answer = app.oneshot(takes_gzip("/sse")).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    answer.into_body().collect().await.unwrap();
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(2.0));
    assert_eq!(meter.outcomes(), [("success", 2.0)]);
}

#[tokio::test]
async fn outside_compression_the_layer_sees_bytes_of_the_wire_and_claims_no_tokens() {
    let meter = Meter::new();
    let always = CompressionLayer::new().compress_when(SizeAbove::new(0));
    let app = pages().layer(always).layer(meter.layer.clone());
    let answer = app.clone().oneshot(takes_gzip("/text")).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(meter.counts().response_bytes, bytes.len() as f64);
    let answer = app.oneshot(takes_gzip("/sse")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(meter.sum("output_tokens_total", &[]), None);
    assert_eq!(meter.outcomes(), [("success", 2.0)]);
}

#[tokio::test]
async fn compression_as_it_comes_leaves_event_streams_readable() {
    let meter = Meter::new();
    let app = pages().layer(CompressionLayer::new()).layer(meter.layer.clone());
    let answer = app.oneshot(takes_gzip("/sse")).await.unwrap();
    answer.into_body().collect().await.unwrap();
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(2.0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_others_is_one_inside_the_layer_and_a_client_that_leaves_outside() {
    let limit = tower_http::timeout::TimeoutLayer::with_status_code(
        StatusCode::REQUEST_TIMEOUT,
        Duration::from_secs(1),
    );
    let never = || Router::new().route("/", get(pending::<()>));
    let request = || Request::get("/").body(Body::empty()).unwrap();
    let (inside, outside) = (Meter::new(), Meter::new());
    let app = never().layer(limit).layer(inside.layer.clone());
    assert_eq!(app.oneshot(request()).await.unwrap().status(), 408);
    assert_eq!(inside.outcomes(), [("timeout", 1.0)]);
    let app = never().layer(outside.layer.clone()).layer(limit);
    assert_eq!(app.oneshot(request()).await.unwrap().status(), 408);
    assert_eq!(outside.outcomes(), [("cancelled", 1.0)]);
    // Ours tells the layer inside why.
    let ours = Meter::new();
    let app = never().layer(ours.layer.clone()).layer(TimeoutLayer::new(Duration::from_secs(1)));
    assert_eq!(app.oneshot(request()).await.unwrap().status(), 504);
    assert_eq!(ours.outcomes(), [("timeout", 1.0)]);
}

#[tokio::test]
async fn a_caught_panic_is_one_outside_the_layer_and_a_server_error_inside() {
    let panics = || Router::new().route("/", get(async || -> () { panic!("in the handler") }));
    let request = || Request::get("/").body(Body::empty()).unwrap();
    let (inside, outside) = (Meter::new(), Meter::new());
    let app = panics().layer(CatchPanicLayer::new()).layer(inside.layer.clone());
    let answer = app.oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 500);
    answer.into_body().collect().await.unwrap();
    assert_eq!(inside.outcomes(), [("server_error", 1.0)]);
    let app = panics().layer(outside.layer.clone()).layer(CatchPanicLayer::new());
    let answer = app.oneshot(request()).await.unwrap();
    assert_eq!(answer.status(), 500);
    answer.into_body().collect().await.unwrap();
    assert_eq!(outside.outcomes(), [("panic", 1.0)]);
    assert!(inside.counts().is_settled() && outside.counts().is_settled());
}

#[tokio::test]
async fn retries_outside_the_layer_are_requests_each_and_inside_one() {
    let (outside, inside) = (Meter::new(), Meter::new());
    let calls = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let handler = |calls: &Arc<AtomicUsize>| {
        let calls = Arc::clone(calls);
        service_fn(move |request| flaky(Arc::clone(&calls), request))
    };
    let service = Retry::new(Stubborn, outside.layer.layer(handler(&calls[0])));
    let response = service.oneshot(hello()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    assert_eq!(outside.counts().ended, 3.0);
    let service = inside.layer.layer(Retry::new(Stubborn, handler(&calls[1])));
    let response = service.oneshot(hello()).await.unwrap();
    response.into_body().collect().await.unwrap();
    // One request, whose body was read three times.
    assert_eq!(inside.outcomes(), [("success", 1.0)]);
    assert_eq!(inside.counts().request_bytes, 15.0);
    assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 3));
}

#[tokio::test]
async fn a_buffer_between_accept_and_service_passes_the_arrival_on() {
    let meter = Meter::new();
    let scope = meter.registry.namespace("test").component("api");
    let service = ServiceBuilder::new()
        .layer(AcceptLayer::new(&scope).unwrap())
        .buffer(8)
        .concurrency_limit(1)
        .layer(meter.layer.clone())
        .service_fn(|_: Request<_>| ready(Ok::<_, BoxError>(Response::new(Whole::default()))));
    for _ in 0..3 {
        service.clone().oneshot(hello()).await.unwrap();
    }
    assert_eq!(meter.sum("queue_seconds_count", &[]), Some(3.0));
    assert_eq!(meter.sum("rejected_total", &[]), Some(0.0));
    assert_eq!(meter.outcomes(), [("success", 3.0)]);
}

#[tokio::test]
async fn a_limit_inside_the_layer_is_waited_for_before_the_call_and_costs_no_duration() {
    let meter = Meter::new();
    let service = ServiceBuilder::new()
        .layer(meter.layer.clone())
        .concurrency_limit(1)
        .service_fn(|_: Request<_>| pending::<Result<Response<Whole>, Infallible>>());
    let mut first = Box::pin(service.clone().oneshot(hello()));
    let mut second = Box::pin(service.oneshot(hello()));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    assert_eq!(meter.counts().started, 1.0);
    drop((first, second));
    assert!(meter.counts().is_settled());
}

#[tokio::test(start_paused = true)]
async fn comments_that_keep_a_stream_alive_are_no_tokens() {
    let meter = Meter::new();
    let events = stream::once(async {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let content = openai::content("Hi");
        Ok::<_, Infallible>(Event::default().data(&content.trim()[6..]))
    });
    let done = stream::iter([Ok(Event::default().data("[DONE]"))]);
    let alive = KeepAlive::new().interval(Duration::from_secs(1));
    let sse = Sse::new(events.chain(done)).keep_alive(alive);
    let mut sse = Some(sse);
    let service = meter.layer.layer(service_fn(move |_: Request<RequestBody<Whole>>| {
        ready(Ok::<_, Infallible>(axum::response::IntoResponse::into_response(sse.take().unwrap())))
    }));
    let mut body = service.oneshot(hello()).await.unwrap().into_body();
    let mut comments = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        comments += usize::from(data.starts_with(b":"));
    }
    // Else this test says nothing.
    assert_eq!(comments, 2);
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(1.0));
    assert_eq!(meter.sum("time_to_first_token_seconds_count", &[]), Some(1.0));
    assert_eq!(meter.sum("inter_token_latency_seconds_count", &[]), Some(0.0));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[tokio::test]
async fn an_event_stream_that_its_client_leaves_is_cancelled_with_its_tokens_counted() {
    let (registry, layer) = layer();
    let events = || {
        let first = stream::iter([openai::content("Hi"), openai::content(" you")]);
        let events =
            first.map(|text| Ok::<_, Infallible>(Event::default().data(&text.trim()[6..])));
        ready(Sse::new(events.chain(stream::pending())).keep_alive(KeepAlive::default()))
    };
    let router = Router::new().route("/events", get(events));
    let address = serve(router.layer(layer.clone())).await;
    let mut client = h1::Client::open(address).await.unwrap();
    client.send(b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    client.read_until(" you").await.unwrap();
    drop(client);
    tokio::time::timeout(served::PATIENCE, layer.drain()).await.unwrap();
    let counts = Counts::of_all(&encode::text(&registry));
    assert_eq!(counts.outcomes, [("cancelled", 1.0)]);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), Some(2.0));
}

#[tokio::test]
async fn a_stack_with_the_layers_is_on_the_wire_what_it_is_without() {
    let (_gate, open) = watch::channel(true);
    let registry = Registry::new();
    let scope = registry.component("api");
    let metrics = MetricsLayer::builder(&scope).matched_routes().build().unwrap();
    let compress = || CompressionLayer::new().compress_when(SizeAbove::new(0));
    let router = || routes(&open).merge(pages());
    let plain = serve(router().layer(compress())).await;
    let accept = AcceptLayer::new(&scope).unwrap();
    let inner = router().layer(metrics.clone()).layer(compress());
    let measured = Router::new().fallback_service(accept.layer(inner));
    let measured = serve(measured.layer(MetricsLayer::new(&Registry::new()).unwrap())).await;
    for path in
        ["/plain", "/empty", "/204", "/304", "/chunked", "/declared", "/sse", "/error", "/no"]
    {
        let mut texts = Vec::new();
        for address in [plain, measured] {
            let bytes = h1::Client::exchange(address, "GET", path).await.unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let rest = text.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
            texts.push(rest.collect::<String>());
        }
        assert_eq!(texts[1], texts[0], "{path}");
        assert!(texts[0].starts_with("HTTP/1.1 "), "{path}");
    }
    for path in ["/plain", "/empty", "/trailers", "/sse", "/text", "/declared"] {
        let mut answers = Vec::new();
        for address in [plain, measured] {
            let client = Client::open(address).await;
            let mut answer = client.fetch(Method::GET, path).await.unwrap();
            answer.headers.remove("date");
            answers.push(answer);
        }
        assert_eq!(answers[1], answers[0], "{path}");
    }
    tokio::time::timeout(served::PATIENCE, metrics.drain()).await.unwrap();
    assert!(Counts::of_all(&encode::text(&registry)).is_settled());
}

#[test]
fn a_script_is_what_it_is_within_every_layer() {
    let script = || Script::new([Step::data("a"), Step::Pending, Step::trailer("key", "value")]);
    let registry = Registry::new();
    let scope = registry.component("api");
    let service = ServiceBuilder::new()
        .layer(AcceptLayer::new(&scope).unwrap())
        .layer(MetricsLayer::new(&scope).unwrap())
        .service_fn(move |_: Request<RequestBody<Whole>>| {
            ready(Ok::<_, Infallible>(Response::new(script())))
        });
    let mut measured = service.oneshot(hello()).now_or_never().unwrap().unwrap().into_body();
    let mut bare = script();
    for _ in 0..5 {
        let sizes = |body: &dyn http_body::Body<Data = Bytes, Error = _>| {
            (body.is_end_stream(), body.size_hint().exact(), body.size_hint().lower())
        };
        assert_eq!(sizes(&measured), sizes(&bare));
        let (ours, theirs) = (measured.frame().now_or_never(), bare.frame().now_or_never());
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }
}
