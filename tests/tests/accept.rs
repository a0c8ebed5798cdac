//! Before a request is served: how long it waits, why it never is, and time-outs that say so.

mod meter;

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Broken, Script, Step, poll_once};
use dynamo_metrics_tower::{AcceptLayer, CancelReason, MetricsLayer, RejectReason, TimeoutLayer};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::Semaphore;
use tower::load_shed::error::Overloaded;
use tower::{BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};

use crate::meter::Meter;

type Whole = Full<Bytes>;

/// A service that is never ready, and says so.
#[derive(Clone)]
struct Closed;

impl<B> Service<Request<B>> for Closed {
    type Response = Response<Whole>;
    type Error = Broken;
    type Future = Ready<Result<Self::Response, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Err(Broken))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

fn hello() -> Request<Whole> {
    Request::new(Full::new(Bytes::from_static(b"hello")))
}

fn accept(registry: &Registry) -> AcceptLayer {
    AcceptLayer::new(&registry.namespace("test").component("api")).unwrap()
}

#[test]
fn the_wait_for_a_place_is_queue_time_and_no_part_of_the_duration() {
    let time = Manual::new();
    time.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (meter, turn) = (Meter::new(), Arc::new(Semaphore::new(0)));
            let handler = Arc::clone(&turn);
            let service = ServiceBuilder::new()
                .layer(accept(&meter.registry))
                .concurrency_limit(1)
                .layer(meter.layer.clone())
                .service_fn(move |_: Request<_>| {
                    let turn = Arc::clone(&handler);
                    async move {
                        turn.acquire().await.unwrap().forget();
                        Ok::<_, Infallible>(Response::new(Whole::default()))
                    }
                });
            let requests = (0..5).map(|_| tokio::spawn(service.clone().oneshot(hello())));
            let requests: Vec<_> = requests.collect();
            for _ in 0..5 {
                // All that can run has: one request has the place, the others wait for it.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                time.advance(Duration::from_millis(100));
                turn.add_permits(1);
            }
            for answer in join_all(requests).await {
                answer.unwrap().unwrap().into_body().collect().await.unwrap();
            }
            // 0, 100, 200, 300 and 400 milliseconds.
            let sum = |name| meter.sum(name, &[]).map(|sum| (sum * 1e3).round());
            assert_eq!(sum("queue_seconds_sum"), Some(1_000.0));
            assert_eq!(meter.sum("queue_seconds_count", &[]), Some(5.0));
            assert_eq!(sum("request_duration_seconds_sum"), Some(500.0));
            assert_eq!(meter.sum("rejected_total", &[]), Some(0.0));
        });
    });
}

#[test]
fn without_an_accept_layer_there_is_no_queue_time() {
    let meter = Meter::new();
    drop(meter.body(Script::new([])));
    assert_eq!(meter.sum("queue_seconds_count", &[]), None);
}

#[test]
fn a_service_that_is_not_ready_rejects_and_its_error_is_passed_on() {
    let registry = Registry::new();
    let accept = accept(&registry);
    let answer = accept.layer(Closed).oneshot(hello()).now_or_never().unwrap();
    assert_eq!(answer.err(), Some(Broken));
    assert_eq!(accept.metrics().rejected(RejectReason::NotReady), 1);
}

#[test]
fn a_request_that_comes_while_another_waits_has_waited_from_its_own_arrival() {
    let (time, meter) = (Manual::new(), Meter::new());
    time.run(|| {
        let (places, layers) = (Arc::new(Semaphore::new(0)), accept(&meter.registry));
        let limit = tower::limit::ConcurrencyLimit::with_semaphore(
            meter.layer.layer(service_fn(|_: Request<_>| {
                ready(Ok::<_, Infallible>(Response::new(Whole::default())))
            })),
            Arc::clone(&places),
        );
        let service = layers.layer(limit);
        let mut first = Box::pin(service.clone().oneshot(hello()));
        assert!((&mut first).now_or_never().is_none());
        time.advance(Duration::from_millis(1_500));
        // A clone of the service that waits knows nothing of that.
        let mut second = Box::pin(service.oneshot(hello()));
        assert!((&mut second).now_or_never().is_none());
        time.advance(Duration::from_millis(500));
        places.add_permits(2);
        assert!(first.now_or_never().is_some() && second.now_or_never().is_some());
    });
    assert_eq!(meter.sum("queue_seconds_count", &[]), Some(2.0));
    assert_eq!(meter.sum("queue_seconds_sum", &[]), Some(2.5));
    let below = meter.sum("queue_seconds_bucket", &[("le", "1")]);
    assert_eq!(below, Some(1.0), "one waited 2 s, the other 0.5 s");
}

#[tokio::test(start_paused = true)]
async fn a_time_that_runs_out_in_a_queue_is_a_rejection_and_in_the_service_an_outcome() {
    let meter = Meter::new();
    let accept = accept(&meter.registry);
    let service = ServiceBuilder::new()
        .layer(accept.clone())
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .buffer(8)
        .concurrency_limit(1)
        .layer(meter.layer.clone())
        .service_fn(|_: Request<_>| pending::<Result<Response<Whole>, BoxError>>());
    let served = tokio::spawn(service.clone().oneshot(hello()));
    tokio::task::yield_now().await;
    let waits = tokio::spawn(service.oneshot(hello()));
    for answer in [served, waits] {
        assert_eq!(answer.await.unwrap().unwrap().status(), 504);
    }
    let rejected = |reason| accept.metrics().rejected(reason);
    assert_eq!((rejected(RejectReason::Timeout), rejected(RejectReason::Abandoned)), (1, 0));
    assert_eq!(meter.outcomes(), [("timeout", 1.0)]);
}

#[test]
fn a_function_that_panics_over_an_error_says_nothing_of_it() {
    let registry = Registry::new();
    let accept = accept(&registry).reasons(|_: &Broken| panic!("a fault of the function"));
    let never_ready = accept.layer(Closed).oneshot(hello()).now_or_never().unwrap();
    assert_eq!(never_ready.err(), Some(Broken));
    let fails = accept.layer(service_fn(|_: Request<_>| ready(Err::<Response<Whole>, _>(Broken))));
    assert_eq!(fails.oneshot(hello()).now_or_never().unwrap().err(), Some(Broken));
    let rejected = |reason| accept.metrics().rejected(reason);
    assert_eq!((rejected(RejectReason::NotReady), rejected(RejectReason::Failed)), (1, 1));
}

#[tokio::test]
async fn a_panic_between_the_layers_is_a_failure_and_nobody_who_left() {
    let registry = Registry::new();
    let accept = accept(&registry);
    let panics = || {
        accept.layer(service_fn(|_: Request<Whole>| async {
            assert!(std::hint::black_box(false), "between the layers");
            Ok::<_, Infallible>(Response::new(Whole::default()))
        }))
    };
    assert!(tokio::spawn(panics().oneshot(hello())).await.unwrap_err().is_panic());
    // Whoever catches it drops the request later, when nothing panics any more.
    let caught = tower_http::catch_panic::CatchPanicLayer::new().layer(panics());
    assert_eq!(caught.oneshot(hello()).await.unwrap().status(), 500);
    let rejected = |reason| accept.metrics().rejected(reason);
    assert_eq!((rejected(RejectReason::Failed), rejected(RejectReason::Abandoned)), (2, 0));
}

#[test]
fn who_drops_a_request_that_waits_may_say_why() {
    let registry = Registry::new();
    let accept = accept(&registry);
    let waits = || {
        let never = tower::limit::ConcurrencyLimit::new(Closed, 0);
        accept.layer(never).oneshot(hello())
    };
    for reason in [Some(CancelReason::Timeout), Some(CancelReason::Rejected), None] {
        let mut request = Box::pin(waits());
        assert!((&mut request).now_or_never().is_none());
        match reason {
            Some(reason) => reason.during(|| drop(request)),
            None => drop(request),
        }
    }
    for reason in [RejectReason::Timeout, RejectReason::Overloaded, RejectReason::Abandoned] {
        assert_eq!(accept.metrics().rejected(reason), 1, "{reason:?}");
    }
}

#[test]
fn what_is_shed_between_the_layers_is_rejected_and_no_request_of_an_endpoint() {
    let meter = Meter::new();
    let accept = accept(&meter.registry)
        .reasons(|error: &BoxError| error.is::<Overloaded>().then_some(RejectReason::Overloaded));
    let service = ServiceBuilder::new()
        .layer(accept.clone())
        .load_shed()
        .concurrency_limit(1)
        .layer(meter.layer.clone())
        .service_fn(|_: Request<_>| pending::<Result<Response<Whole>, Infallible>>());
    let mut first = Box::pin(service.clone().oneshot(hello()));
    assert!((&mut first).now_or_never().is_none());
    assert!(service.oneshot(hello()).now_or_never().unwrap().is_err());
    assert_eq!(accept.metrics().rejected(RejectReason::Overloaded), 1);
    drop(first);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
    assert_eq!(meter.sum("rejected_total", &[]), Some(1.0));
}

#[test]
fn a_client_that_leaves_while_it_waits_has_abandoned_its_request() {
    let meter = Meter::new();
    let accept = accept(&meter.registry);
    let service = ServiceBuilder::new()
        .layer(accept.clone())
        .concurrency_limit(1)
        .layer(meter.layer.clone())
        .service_fn(|_: Request<_>| pending::<Result<Response<Whole>, Infallible>>());
    let mut first = Box::pin(service.clone().oneshot(hello()));
    assert!((&mut first).now_or_never().is_none());
    assert!(service.oneshot(hello()).now_or_never().is_none());
    drop(first);
    assert_eq!(accept.metrics().rejected(RejectReason::Abandoned), 1);
    let counts = meter.counts();
    assert_eq!((counts.started, counts.outcomes), (1.0, vec![("cancelled", 1.0)]));
}

#[test]
fn answers_of_layers_between_are_rejections_by_their_status() {
    let registry = Registry::new();
    for (status, reason) in [
        (503, Some(RejectReason::Overloaded)),
        (408, Some(RejectReason::Timeout)),
        (401, Some(RejectReason::Refused)),
        (500, Some(RejectReason::Failed)),
        (204, None),
    ] {
        let accept = accept(&registry);
        let before = RejectReason::ALL.iter().map(|r| accept.metrics().rejected(*r)).sum::<u64>();
        let service = accept.layer(service_fn(move |_: Request<Whole>| {
            let mut response = Response::new(Whole::default());
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            ready(Ok::<_, Infallible>(response))
        }));
        service.oneshot(hello()).now_or_never().unwrap().unwrap();
        let after = RejectReason::ALL.iter().map(|r| accept.metrics().rejected(*r)).sum::<u64>();
        assert_eq!(after - before, u64::from(reason.is_some()));
        assert!(reason.is_none_or(|reason| accept.metrics().rejected(reason) == 1));
    }
}

#[test]
fn answers_of_endpoints_and_excluded_paths_are_no_rejections() {
    let registry = Registry::new();
    let scope = registry.namespace("test").component("api");
    let layer = MetricsLayer::builder(&scope).exclude("/health").build().unwrap();
    let service = accept(&registry).layer(layer.layer(service_fn(|_: Request<_>| {
        ready(Ok::<_, Infallible>(Response::builder().status(503).body(Whole::default()).unwrap()))
    })));
    for path in ["/", "/health"] {
        let request = Request::get(path).body(Whole::default()).unwrap();
        service.clone().oneshot(request).now_or_never().unwrap().unwrap();
    }
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_component_rejected_total", &[]), Some(0.0));
    let of = [("outcome", "rejected")];
    assert_eq!(page.sum("dynamo_component_request_outcomes_total", &of), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_ours_is_one_outside_the_layer_and_inside() {
    let limit = TimeoutLayer::new(Duration::from_secs(1));
    let never = |_: Request<_>| pending::<Result<Response<Whole>, Infallible>>();
    let outside = Meter::new();
    let service = ServiceBuilder::new().layer(limit).layer(outside.layer.clone()).service_fn(never);
    assert_eq!(service.oneshot(hello()).await.unwrap().status(), 504);
    assert_eq!(outside.outcomes(), [("timeout", 1.0)]);
    let inside = Meter::new();
    let limit = limit.status(http::StatusCode::REQUEST_TIMEOUT);
    let service = ServiceBuilder::new().layer(inside.layer.clone()).layer(limit).service_fn(never);
    let answer = service.oneshot(hello()).await.unwrap();
    assert_eq!(answer.status(), 408);
    drop(answer);
    assert_eq!(inside.outcomes(), [("timeout", 1.0)]);
    assert!(outside.counts().is_settled() && inside.counts().is_settled());
}

#[test]
fn a_body_that_is_dropped_for_a_reason_ends_for_that() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("a"), Step::Stuck]));
    poll_once(&mut body);
    CancelReason::Timeout.during(|| drop(body));
    let rejected = meter.body(Script::new([Step::Stuck]));
    CancelReason::Rejected.during(|| drop(rejected));
    drop(meter.body(Script::new([Step::Stuck])));
    assert_eq!(meter.outcomes(), [("cancelled", 1.0), ("timeout", 1.0), ("rejected", 1.0)]);
}
