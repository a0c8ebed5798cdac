//! Canaries ask an axum service where nobody else does, by tokio's clock; what they leave behind.

#[path = "health/target.rs"]
mod target;

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use allocation_counter::measure;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use dynamo_metrics::encode;
use dynamo_metrics::health::{
    BuildError, Canary, CanaryError, CanarySettings, EndpointHealth, EndpointState, Health, Probe,
    Status,
};
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::MetricsLayer;
use http::{Request, StatusCode};
use target::{Mode, Target, ask, chat, probe};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt as _};

const IDLE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(3);
/// A little, so that what is due has been done.
const BIT: Duration = Duration::from_millis(50);

struct Story {
    registry: Registry,
    health: Health,
    chat: EndpointHealth,
    target: Target,
}

impl Story {
    /// An endpoint that is ready, and has a canary of the defaults.
    fn begin() -> Self {
        Self::with(Target::probe)
    }

    fn with(probe: impl FnOnce(&Target) -> Probe) -> Self {
        let registry = Registry::new();
        let health = Health::new(&registry).unwrap();
        let chat = health.endpoint(&chat(&registry)).unwrap();
        let target = Target::new();
        chat.ready();
        chat.canary(Canary::new(probe(&target))).unwrap();
        Self { registry, health, chat, target }
    }

    fn code(&self) -> u16 {
        // Whatever happens to the endpoint, the process lives.
        assert_eq!(self.health.answer("/live").unwrap().status(), 200);
        self.health.answer("/health").unwrap().status().as_u16()
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = Page::read(&encode::text(&self.registry));
        page.sum(&format!("dynamo_metrics_health_{name}"), labels).unwrap()
    }

    fn probes(&self, outcome: &str) -> f64 {
        self.value("probes_total", &[("outcome", outcome)])
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_quiet_endpoint_is_probed_when_it_was_idle_and_not_before() {
    let story = Story::begin();
    let start = Instant::now();
    sleep(Duration::from_secs(9)).await;
    assert_eq!(story.target.probes(), 0);
    sleep(Duration::from_secs(22)).await;
    let when: Vec<_> = story.target.canaries.lock().unwrap().clone();
    let when: Vec<_> = when.iter().map(|at| at.duration_since(start).as_secs()).collect();
    assert_eq!(when, [10, 20, 30]);
    assert_eq!((story.probes("success"), story.code()), (3.0, 200));
}

#[tokio::test(start_paused = true)]
async fn an_answer_makes_a_starting_endpoint_ready() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&chat(&registry)).unwrap();
    let target = Target::new();
    target.set(Mode::Fails);
    endpoint.canary(Canary::new(target.probe())).unwrap();
    sleep(IDLE + BIT).await;
    assert_eq!(endpoint.state(), EndpointState::Starting);
    assert_eq!(health.status(), Status::NotReady);
    target.set(Mode::Well);
    sleep(IDLE + BIT).await;
    assert_eq!((endpoint.state(), health.status()), (EndpointState::Ready, Status::Ready));
}

#[tokio::test(start_paused = true)]
async fn traffic_postpones_probes_and_nobody_must_tell() {
    let target = Target::new();
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let scope = registry.namespace("prod").component("frontend");
    let layer = MetricsLayer::builder(&scope).route("/chat", "chat").build().unwrap();
    let service = target.router().layer(layer);
    let endpoint = health.endpoint(&scope.endpoint("chat")).unwrap();
    endpoint.canary(Canary::new(probe(service.clone()))).unwrap();
    for _ in 0..20 {
        sleep(Duration::from_secs(4)).await;
        let answer = service.clone().oneshot(ask()).await.unwrap();
        axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
    }
    assert_eq!(target.probes(), 0);
    // What serves has started.
    assert_eq!(endpoint.state(), EndpointState::Ready);
    // The canary's own requests are no traffic: it goes on.
    sleep(4 * IDLE).await;
    assert!((3..=4).contains(&target.probes()), "{}", target.probes());
    // Neither are requests that fail.
    let before = target.probes();
    target.set(Mode::Fails);
    for _ in 0..20 {
        sleep(Duration::from_secs(4)).await;
        let _ = service.clone().oneshot(ask()).await.unwrap();
    }
    assert!(target.probes() >= before + 7);
    assert_eq!(endpoint.state(), EndpointState::Unresponsive(8));
    // One request that is served heals it before any probe does.
    target.set(Mode::Well);
    let answer = service.clone().oneshot(ask()).await.unwrap();
    axum::body::to_bytes(answer.into_body(), 100).await.unwrap();
    sleep(IDLE / 8 + BIT).await;
    assert_eq!(endpoint.state(), EndpointState::Ready);
}

#[tokio::test(start_paused = true)]
async fn what_users_tell_and_watch_is_traffic() {
    let story = Story::begin();
    let tokens = story.registry.counter("tokens_total", "").register().unwrap();
    story.chat.watch_counter(&tokens);
    for round in 0..40 {
        sleep(Duration::from_secs(3)).await;
        if round % 2 == 0 { story.chat.seen_ok() } else { tokens.inc() }
    }
    assert_eq!(story.target.probes(), 0);
    sleep(IDLE + IDLE / 8).await;
    assert_eq!(story.target.probes(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_before_it_is_watched_is_no_traffic() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let tokens = registry.counter("tokens_total", "").register().unwrap();
    tokens.inc_by(1_000);
    let endpoint = health.endpoint(&chat(&registry)).unwrap();
    endpoint.seen_ok();
    endpoint.canary(Canary::new(Probe::custom(|| async { false }))).unwrap();
    sleep(BIT).await;
    endpoint.watch_counter(&tokens);
    sleep(IDLE / 2).await;
    assert_eq!(endpoint.state(), EndpointState::Starting);
    tokens.inc();
    sleep(IDLE / 4).await;
    assert_eq!(endpoint.state(), EndpointState::Ready);
}

/// By the clock on the wall: what is always ready keeps the other one from moving.
#[tokio::test]
async fn a_body_that_is_always_ready_lets_others_run_and_ends_in_time() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&chat(&registry)).unwrap();
    endpoint.ready();
    let target = Target::new();
    target.set(Mode::EndlessNothing);
    let canary = Canary::new(target.probe().most_bytes(usize::MAX)).failures(1);
    endpoint.canary(canary.idle(BIT / 5).timeout(BIT)).unwrap();
    let start = std::time::Instant::now();
    while endpoint.status() == Status::Ready {
        assert!(start.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(1)).await;
    }
    let page = Page::read(&encode::text(&registry));
    let timeouts = page.sum("dynamo_metrics_health_probes_total", &[("outcome", "timeout")]);
    assert_eq!(timeouts, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_make_it_unready_and_one_success_heals() {
    let story = Story::begin();
    sleep(BIT).await;
    let mut flaps = [Mode::Fails, Mode::Fails, Mode::Well].into_iter().cycle();
    for _ in 0..9 {
        story.target.set(flaps.next().unwrap());
        sleep(IDLE).await;
        assert_eq!(story.code(), 200);
    }
    assert_eq!(story.value("transitions_total", &[("to", "notready")]), 0.0);
    story.target.set(Mode::Fails);
    for code in [200, 200, 503, 503] {
        sleep(IDLE).await;
        assert_eq!((story.code(), story.value("status", &[])), (code, f64::from(code == 200)));
    }
    assert_eq!(story.chat.state(), EndpointState::Unresponsive(4));
    // Saying so does not make it answer.
    story.chat.ready();
    assert_eq!((story.code(), story.value("ready", &[])), (503, 0.0));
    story.target.set(Mode::Well);
    sleep(IDLE).await;
    assert_eq!((story.code(), story.value("ready", &[])), (200, 1.0));
    assert_eq!(story.chat.state(), EndpointState::Ready);
    assert_eq!(story.value("transitions_total", &[("to", "notready")]), 1.0);
    assert_eq!(story.value("transitions_total", &[("to", "ready")]), 2.0);
    assert_eq!((story.probes("success"), story.probes("failure")), (4.0, 10.0));
    assert_eq!(story.value("probe_duration_seconds_count", &[]), 14.0);
    assert_eq!(story.target.probes(), 14);
}

#[tokio::test(start_paused = true)]
async fn whatever_a_service_does_is_one_outcome_and_costs_nothing_else() {
    for (mode, outcome) in [
        (Mode::Fails, "failure"),
        (Mode::Missing, "failure"),
        (Mode::Hangs, "timeout"),
        (Mode::HangsInBody, "timeout"),
        (Mode::Panics, "panic"),
        (Mode::PanicsInBody, "panic"),
        (Mode::ErrorInBody, "error"),
        (Mode::EndlessBytes, "too_long"),
        (Mode::EndlessNothing, "too_long"),
    ] {
        let story = Story::begin();
        // The task of the story before has ended by now.
        sleep(BIT).await;
        let alive = tasks();
        story.target.set(mode);
        sleep(3 * (IDLE + TIMEOUT) + BIT).await;
        assert_eq!(story.code(), 503, "{mode:?}");
        assert!(story.probes(outcome) >= 3.0, "{mode:?}");
        let all = story.value("probes_total", &[]);
        assert_eq!(all, story.probes(outcome), "{mode:?}");
        assert_eq!(all, story.value("probe_duration_seconds_count", &[]), "{mode:?}");
        assert_eq!(tasks(), alive, "{mode:?}");
        story.target.set(Mode::Well);
        sleep(IDLE + TIMEOUT + BIT).await;
        assert_eq!(story.code(), 200, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_takes_as_long_as_it_may_and_no_longer() {
    let story = Story::begin();
    story.target.set(Mode::Hangs);
    sleep(Duration::from_millis(12_990)).await;
    assert_eq!(story.value("probes_total", &[]), 0.0);
    sleep(BIT).await;
    assert_eq!(story.probes("timeout"), 1.0);
    let took = story.value("probe_duration_seconds_sum", &[]);
    assert!((took - TIMEOUT.as_secs_f64()).abs() < 0.01, "{took}");
}

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

#[tokio::test(start_paused = true)]
async fn removal_ends_the_task_even_within_a_probe() {
    for mode in [Mode::Well, Mode::Hangs] {
        let before = tasks();
        let story = Story::begin();
        story.target.set(mode);
        sleep(IDLE + BIT).await;
        assert_eq!((tasks(), story.target.probes()), (before + 1, 1));
        story.chat.remove();
        sleep(BIT).await;
        assert_eq!(tasks(), before);
        sleep(5 * IDLE).await;
        assert_eq!(story.target.probes(), 1);
        let page = encode::text(&story.registry);
        assert!(!page.contains("health_probes") && !page.contains("health_status"), "{page}");
        let again = story.chat.canary(Canary::new(story.target.probe()));
        assert_eq!(again, Err(CanaryError::Removed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_removes_its_endpoint_leaves_nothing_of_it() {
    let before = tasks();
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&chat(&registry)).unwrap();
    let own = endpoint.clone();
    let probe = Probe::custom(move || {
        own.remove();
        std::future::ready(true)
    });
    endpoint.canary(Canary::new(probe)).unwrap();
    sleep(2 * IDLE).await;
    assert_eq!((tasks(), endpoint.state()), (before, EndpointState::Removed));
    let page = encode::text(&registry);
    assert!(!page.contains("health_probe") && !page.contains("health_status"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_of_health_takes_its_canaries_along() {
    let before = tasks();
    let Story { health, chat, registry, target } = Story::begin();
    let other = health.clone();
    drop(health);
    sleep(IDLE + BIT).await;
    assert_eq!((tasks(), target.probes()), (before + 1, 1));
    drop(other);
    sleep(BIT).await;
    assert_eq!((tasks(), chat.state()), (before, EndpointState::Removed));
    assert!(!encode::text(&registry).contains("dynamo_metrics_health"));
    chat.ready();
    chat.remove();
    assert_eq!(chat.status(), Status::NotReady);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_leaves_its_endpoint() {
    let Story { health, chat, target, .. } = Story::begin();
    drop(chat);
    target.set(Mode::Fails);
    sleep(3 * IDLE + BIT).await;
    assert_eq!((target.probes(), health.status()), (3, Status::NotReady));
}

#[tokio::test(start_paused = true)]
async fn a_second_canary_takes_the_place_of_the_first() {
    let before = tasks();
    let story = Story::begin();
    let second = Target::new();
    let idle = Duration::from_secs(2);
    story.chat.canary(Canary::new(second.probe()).idle(idle).failures(1)).unwrap();
    sleep(idle + BIT).await;
    assert_eq!((story.target.probes(), second.probes(), tasks()), (0, 1, before + 1));
    second.set(Mode::Fails);
    sleep(idle).await;
    assert_eq!(story.code(), 503);
}

#[tokio::test(start_paused = true)]
async fn canaries_run_only_where_they_are_enabled() {
    let registry = Registry::new();
    for (value, probes) in [(None, 0), (Some("false"), 0), (Some("true"), 2)] {
        let look_up = |name: &str| match name {
            "DYN_HEALTH_CHECK_ENABLED" => value.map(str::to_owned),
            "DYN_CANARY_WAIT_TIME" => Some("4".to_owned()),
            _ => None,
        };
        let health = Health::from_env(&registry, look_up).unwrap();
        let endpoint = health.endpoint(&chat(&registry)).unwrap();
        let target = Target::new();
        endpoint.canary(Canary::new(target.probe())).unwrap();
        sleep(Duration::from_secs(9)).await;
        assert_eq!(target.probes(), probes, "{value:?}");
    }
}

#[test]
fn a_canary_that_cannot_run_says_why() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&chat(&registry)).unwrap();
    let canary = || Canary::new(Probe::custom(|| async { true }));
    assert_eq!(endpoint.canary(canary()), Err(CanaryError::NoRuntime));
    let bare = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let entered = bare.enter();
    assert_eq!(endpoint.canary(canary()), Err(CanaryError::NoTimer));
    drop(entered);
    let zero = endpoint.canary(canary().idle(Duration::ZERO));
    assert_eq!(zero, Err(CanaryError::ZeroTime("idle")));
    let zero = endpoint.canary(canary().timeout(Duration::ZERO));
    assert_eq!(zero, Err(CanaryError::ZeroTime("timeout")));
    assert_eq!(endpoint.canary(canary().failures(0)), Err(CanaryError::ZeroFailures));
    let mut settings = CanarySettings::default();
    settings.failures = 0;
    let built = Health::builder().canary(settings).build(&registry);
    assert!(matches!(built, Err(BuildError::ZeroFailures)));
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_endpoints_that_come_and_go_leave_nothing() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let before = tasks();
    let round = || {
        let scopes: Vec<Scope> =
            (0..3_500).map(|n| registry.component("worker").endpoint(&format!("e{n}"))).collect();
        let declared: Vec<_> = scopes.iter().map(|scope| health.endpoint(scope).unwrap()).collect();
        declared.iter().for_each(EndpointHealth::ready);
        let answer = health.answer("/health").unwrap();
        assert_eq!(answer.body().matches("\":\"ready\"").count(), 3_501);
        declared.iter().for_each(EndpointHealth::remove);
        let page = Page::read(&encode::text(&registry));
        assert_eq!(page.samples().len(), 1);
        scopes.iter().for_each(Scope::remove);
        assert!(health.answer("/health").unwrap().body().ends_with("\"endpoints\":{}}"));
    };
    round();
    let left: Vec<_> = (0..2).map(|_| measure(round).bytes_current).collect();
    // What was let go may be freed a little later, in the round after.
    assert!(left.iter().sum::<i64>() < 32 * 1024, "bytes left by each round: {left:?}");

    // And none of ten thousand canaries goes on.
    let probes = Arc::new(AtomicU32::new(0));
    let declared: Vec<_> = (0..10_000)
        .map(|n| {
            let scope = registry.component("worker").namespace(&format!("n{n}"));
            let endpoint = health.endpoint(&scope).unwrap();
            let probes = Arc::clone(&probes);
            let probe = Probe::custom(move || {
                probes.fetch_add(1, Ordering::Relaxed);
                std::future::ready(true)
            });
            endpoint.canary(Canary::new(probe)).unwrap();
            endpoint
        })
        .collect();
    sleep(IDLE + BIT).await;
    assert_eq!((tasks(), probes.load(Ordering::Relaxed)), (before + 10_000, 10_000));
    declared.iter().for_each(EndpointHealth::remove);
    sleep(5 * IDLE).await;
    assert_eq!((tasks(), probes.load(Ordering::Relaxed)), (before, 10_000));
    assert_eq!(Arc::strong_count(&probes), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_use_one_health() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let steady = health.endpoint(&registry.component("c").endpoint("steady")).unwrap();
    steady.ready();
    let before = tasks();
    let mut users = tokio::task::JoinSet::new();
    for which in 0..8 {
        let (health, registry, steady) = (health.clone(), registry.clone(), steady.clone());
        users.spawn(async move {
            for round in 0..100 {
                // Two users share each of four endpoints.
                let scope = registry.component("c").endpoint(&format!("e{}", which % 4));
                let endpoint = health.endpoint(&scope).unwrap();
                let probe = Probe::custom(move || std::future::ready(round % 3 == 0));
                let canary = Canary::new(probe).idle(Duration::from_millis(1)).failures(1);
                match endpoint.canary(canary) {
                    Ok(()) | Err(CanaryError::Removed) => (),
                    Err(error) => panic!("{error}"),
                }
                endpoint.seen_ok();
                steady.ready();
                let _ = encode::text(&registry);
                let body = health.answer("/health").unwrap().into_body();
                let _: serde_json::Value = serde_json::from_str(&body).unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
                if round % 2 == 0 { endpoint.remove() } else { endpoint.ready() }
            }
            health.endpoint(&registry.component("c").endpoint(&format!("e{}", which % 4))).unwrap()
        });
    }
    while let Some(user) = users.join_next().await {
        user.unwrap().remove();
    }
    let end = std::time::Instant::now();
    while tasks() > before {
        assert!(end.elapsed() < Duration::from_secs(10), "{} tasks are left", tasks());
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!((steady.status(), health.status()), (Status::Ready, Status::Ready));
    let page = Page::read(&encode::text(&registry));
    assert_eq!(page.sum("dynamo_metrics_health_status", &[]), Some(1.0));
    assert_eq!(page.sum("dynamo_metrics_health_probes_total", &[]), None);
}

/// What a service does with answers: they are whole responses already.
#[tokio::test]
async fn answers_can_be_served_as_they_are() {
    let health = Health::new(&Registry::new()).unwrap();
    let served = health.clone();
    let router = Router::new().fallback(get(move |uri: http::Uri| {
        let answer = served.answer(uri.path());
        async move { answer.ok_or(StatusCode::NOT_FOUND) }
    }));
    for (path, status) in [("/health", 503), ("/ready", 503), ("/live", 200), ("/x", 404)] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        let text = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
        if status != 404 {
            let _: serde_json::Value = serde_json::from_slice(&text).unwrap();
        }
    }
}
