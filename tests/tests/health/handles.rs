//! What is left of an endpoint that is removed, and of handles that are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use allocation_counter::measure;
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use dynamo_metrics::encode;
use dynamo_metrics::health::{
    BuildError, Canary, CanaryError, CanarySettings, EndpointHealth, EndpointState, Health, Probe,
    Status,
};
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::page::Page;
use http::{Request, StatusCode};
use tokio::time::sleep;
use tower::ServiceExt as _;

use super::target::{Mode, Target, chat};
use super::{BIT, IDLE, Story, tasks};

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
