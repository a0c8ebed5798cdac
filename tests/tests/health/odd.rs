//! Services that do what they should not, and answers that only look good.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use dynamo_metrics::health::{Canary, EndpointState, Health, Probe};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, StatusCode};
use tokio::time::sleep;
use tower::Service;

use super::target::{Mode, Target, ask, probe};
use super::{BIT, IDLE, Story, TIMEOUT};

/// Never ready to be called, or panics where no service should.
#[derive(Clone)]
struct Odd {
    panics_when_dropped: Option<Arc<AtomicBool>>,
}

struct OddFuture(Option<Arc<AtomicBool>>);

impl Future for OddFuture {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Pending
    }
}

impl Drop for OddFuture {
    fn drop(&mut self) {
        if let Some(dropped) = &self.0 {
            dropped.store(true, Ordering::Relaxed);
            panic!("while it is dropped");
        }
    }
}

impl Service<Request<Body>> for Odd {
    type Response = Response;
    type Error = Infallible;
    type Future = OddFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.panics_when_dropped.is_some() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<Body>) -> OddFuture {
        OddFuture(self.panics_when_dropped.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_times_out() {
    let story = Story::with(|_| Probe::new(Odd { panics_when_dropped: None }, ask));
    sleep(3 * (IDLE + TIMEOUT) + BIT).await;
    assert_eq!((story.code(), story.probes("timeout")), (503, 3.0));
}

#[tokio::test(start_paused = true)]
async fn panics_of_a_drop_and_of_a_factory_stay_in_the_probe() {
    let dropped = Arc::new(AtomicBool::new(false));
    let odd = Odd { panics_when_dropped: Some(Arc::clone(&dropped)) };
    let story = Story::with(|_| Probe::new(odd, ask));
    sleep(2 * (IDLE + TIMEOUT) + BIT).await;
    assert!(dropped.load(Ordering::Relaxed));
    assert_eq!(story.probes("timeout"), 2.0);

    let story = Story::with(|target| {
        Probe::new(target.router(), || -> Request<Body> { panic!("in the factory") })
    });
    sleep(2 * IDLE + BIT).await;
    assert_eq!((story.probes("panic"), story.target.probes()), (2.0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_judged_whole_and_up_to_its_bound() {
    let judge = |bytes: usize| {
        move |target: &Target| {
            target
                .probe()
                .most_bytes(bytes)
                .judge(|answer| answer.status() == StatusCode::NOT_FOUND && answer.body() == "pong")
        }
    };
    let story = Story::with(judge(4));
    sleep(IDLE + BIT).await;
    assert_eq!(story.probes("failure"), 1.0);
    story.target.set(Mode::Missing);
    sleep(IDLE).await;
    assert_eq!(story.probes("success"), 1.0);
    let story = Story::with(judge(3));
    sleep(IDLE + BIT).await;
    assert_eq!(story.probes("too_long"), 1.0);
    let story = Story::with(|target| target.probe().judge(|_| panic!("in the judge")));
    sleep(IDLE + BIT).await;
    assert_eq!(story.probes("panic"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_the_judge_refused_is_no_traffic() {
    let target = Target::new();
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let scope = registry.namespace("prod").component("frontend");
    let layer = MetricsLayer::builder(&scope).route("/chat", "chat").build().unwrap();
    let endpoint = health.endpoint(&scope.endpoint("chat")).unwrap();
    endpoint.ready();
    let probe = probe(target.router().layer(layer)).judge(|_| false);
    endpoint.canary(Canary::new(probe)).unwrap();
    sleep(3 * IDLE + BIT).await;
    assert_eq!((target.probes(), endpoint.state()), (3, EndpointState::Unresponsive(3)));
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoint_says_is_not_overruled() {
    let story = Story::begin();
    story.chat.not_ready("out of memory");
    sleep(2 * IDLE + BIT).await;
    assert_eq!(story.chat.state(), EndpointState::NotReady("out of memory".into()));
    assert_eq!((story.target.probes(), story.code()), (2, 503));
    story.chat.draining();
    sleep(5 * IDLE).await;
    assert_eq!((story.target.probes(), story.chat.state()), (2, EndpointState::Draining));
    story.chat.ready();
    assert_eq!(story.code(), 200);
    sleep(IDLE + IDLE / 8).await;
    assert_eq!(story.target.probes(), 3);
}
