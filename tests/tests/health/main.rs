//! Canaries ask an axum service where nobody else does, by tokio's clock; what they leave behind.

mod handles;
mod odd;
mod target;

use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::health::{Canary, EndpointHealth, EndpointState, Health, Probe, Status};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::MetricsLayer;
use target::{Mode, Target, ask, chat, probe};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

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
