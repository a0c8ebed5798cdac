//! Stacks on real sockets and at their edges: limits on bodies and on requests, time-outs of bodies,
//! clients that leave while they wait, and routes, over HTTP/1.1 and HTTP/2.

mod meter;
mod served;

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::openai;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Broken, Script, Step};
use dynamo_metrics_tower::{AcceptLayer, MetricsLayer, RejectReason};
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use tokio::sync::watch;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::ResponseBodyTimeoutLayer;

use crate::meter::Meter;
use crate::served::{PATIENCE, h2, layer, routes, serve};

/// Waits for the end of every request of the layer, and reads what it says of all of them.
async fn drained(registry: &Registry, layer: &MetricsLayer) -> Counts {
    tokio::time::timeout(PATIENCE, layer.drain()).await.unwrap();
    let counts = Counts::of_all(&encode::text(registry));
    assert!(counts.is_settled(), "{counts:?}");
    counts
}

/// Waits until `seen` is so many.
async fn when(seen: impl Fn() -> u64, wanted: u64) {
    let wait = async {
        while seen() != wanted {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("still {}", seen()));
}

#[tokio::test]
async fn routes_are_told_apart_over_either_protocol() {
    let service = service_fn(|_: Request<Body>| {
        ready(Ok::<_, Infallible>(Response::new(Body::from("service"))))
    });
    let models = Router::new().route("/models/{model}", get(|| async { "model" }));
    let router = Router::new()
        .nest("/v1/{tenant}", models)
        .nest_service("/files", service)
        .fallback(|| async { "fallback" });
    let registry = Registry::new();
    let scope = registry.component("api");
    let layer = MetricsLayer::builder(&scope).matched_routes().build().unwrap();
    let address = serve(router.layer(layer.clone())).await;
    let client = h2::Client::open(address).await;
    for (path, text) in
        [("/v1/a/models/b", "model"), ("/files/secret", "service"), ("/made/up", "fallback")]
    {
        let answer = h1::Client::exchange(address, "GET", path).await.unwrap();
        assert!(answer.ends_with(text.as_bytes()), "{path}");
        assert_eq!(client.fetch(Method::GET, path).await.unwrap().data, text.as_bytes());
    }
    assert_eq!(drained(&registry, &layer).await.outcomes, [("success", 6.0)]);
    let text = encode::text(&registry);
    let ended = |endpoint| Counts::of_endpoint(&text, endpoint).ended;
    assert_eq!((ended("v1_by_tenant_models_by_model"), ended("unmatched")), (2.0, 4.0));
}

/// Uploads ten bytes, of which five are too many, in one piece or in chunks; the status.
async fn upload(app: Router, chunked: bool) -> StatusCode {
    let frames = [Bytes::from_static(b"hello"), Bytes::from_static(b"world")];
    let body = Body::from_stream(stream::iter(frames.map(Ok::<_, Infallible>)));
    let mut request = Request::post("/upload").body(body).unwrap();
    if !chunked {
        request.headers_mut().insert("content-length", 10.into());
    }
    let answer = app.oneshot(request).await.unwrap();
    let status = answer.status();
    answer.into_body().collect().await.unwrap();
    status
}

#[tokio::test]
async fn a_body_over_its_limit_is_a_client_error_inside_the_layer_and_a_refusal_outside() {
    let limit = RequestBodyLimitLayer::new(5);
    let router =
        || Router::new().route("/upload", post(async |body: Bytes| body.len().to_string()));
    let inside = Meter::new();
    let app = router().layer(limit).layer(inside.layer.clone());
    assert_eq!(upload(app.clone(), false).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(inside.counts().request_bytes, 0.0);
    assert_eq!(upload(app, true).await, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(inside.counts().request_bytes, 10.0);
    assert_eq!(inside.outcomes(), [("client_error", 2.0)]);

    let outside = Meter::new();
    let accept = AcceptLayer::new(&outside.registry.component("api")).unwrap();
    let app = router().layer(outside.layer.clone()).layer(limit);
    let app = Router::new().fallback_service(accept.layer(app));
    assert_eq!(upload(app.clone(), false).await, StatusCode::PAYLOAD_TOO_LARGE);
    // The limit has answered by itself, having seen the length.
    assert_eq!(outside.counts().started, 0.0);
    assert_eq!(accept.metrics().rejected(RejectReason::Refused), 1);
    // axum looks for the limit's error two boxes deep, and any body around the limit's makes a third.
    assert!(upload(app, true).await.is_client_error());
    assert_eq!(outside.outcomes(), [("client_error", 1.0)]);
    assert_eq!(accept.metrics().rejected(RejectReason::Refused), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_is_an_error_inside_the_layer_and_a_client_that_left_outside() {
    let limit = || ResponseBodyTimeoutLayer::new(Duration::from_secs(1));
    let stuck = || {
        service_fn(|_: Request<_>| {
            let script = Script::new([Step::data("hello"), Step::Stuck]);
            ready(Ok::<_, Broken>(Response::new(script)))
        })
    };
    let request = || Request::new(Empty::<Bytes>::new());
    let (inside, outside) = (Meter::new(), Meter::new());
    let service = inside.layer.layer(limit().layer(stuck()));
    let answer = service.oneshot(request()).await.unwrap();
    assert!(Box::pin(answer.into_body().collect()).await.is_err());
    assert_eq!(inside.outcomes(), [("server_error", 1.0)]);
    let service = limit().layer(outside.layer.layer(stuck()));
    let answer = service.oneshot(request()).await.unwrap();
    assert!(Box::pin(answer.into_body().collect()).await.is_err());
    assert_eq!(outside.outcomes(), [("cancelled", 1.0)]);
    assert!(inside.counts().is_settled() && outside.counts().is_settled());
}

#[tokio::test]
async fn an_event_stream_that_is_reset_is_cancelled_with_its_tokens_counted() {
    let (registry, layer) = layer();
    let events = || {
        let first = stream::iter([openai::content("Hi")]);
        let events =
            first.map(|text| Ok::<_, Infallible>(Event::default().data(&text.trim()[6..])));
        ready(Sse::new(events.chain(stream::pending())).keep_alive(KeepAlive::default()))
    };
    let address = serve(Router::new().route("/events", get(events)).layer(layer.clone())).await;
    let client = h2::Client::open(address).await;
    client.send(Method::GET, "/events").await.first_frame().await.reset();
    assert_eq!(drained(&registry, &layer).await.outcomes, [("cancelled", 1.0)]);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), Some(1.0));
}

#[tokio::test]
async fn clients_that_leave_a_queue_have_abandoned_and_the_one_that_is_served_has_cancelled() {
    let (_gate, open) = watch::channel(false);
    let (registry, layer) = layer();
    let accept = AcceptLayer::new(&registry.component("api")).unwrap();
    let arrived = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&arrived);
    let app = ServiceBuilder::new()
        .map_request(move |request: Request<Body>| {
            counted.fetch_add(1, Ordering::Relaxed);
            request
        })
        .layer(accept.clone())
        .service(routes(&open).layer(layer.clone()).layer(GlobalConcurrencyLimitLayer::new(1)));
    let address = serve(Router::new().fallback_service(app)).await;
    let arrive = |number| when(|| arrived.load(Ordering::Relaxed) as u64, number);

    let mut holds = h1::Client::open(address).await.unwrap();
    holds.send(b"GET /never HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    arrive(1).await;
    let mut waits = h1::Client::open(address).await.unwrap();
    waits.send(b"GET /plain HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    let client = h2::Client::open(address).await;
    let waits_too = client.send(Method::GET, "/plain").await;
    arrive(3).await;
    let rejected = || RejectReason::ALL.iter().map(|why| accept.metrics().rejected(*why)).sum();
    assert_eq!(rejected(), 0);
    drop(waits);
    when(rejected, 1).await;
    waits_too.reset();
    when(rejected, 2).await;
    assert_eq!(accept.metrics().rejected(RejectReason::Abandoned), 2);

    drop(holds);
    assert_eq!(drained(&registry, &layer).await.outcomes, [("cancelled", 1.0)]);
    // The place is free again, and nobody else was ever called.
    let answer = client.fetch(Method::GET, "/plain").await.unwrap();
    assert_eq!(answer.data, b"hello");
    let counts = drained(&registry, &layer).await;
    assert_eq!(counts.outcomes, [("success", 1.0), ("cancelled", 1.0)]);
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_component_queue_seconds_count", &[]), Some(2.0));
    assert_eq!(rejected(), 2);
}
