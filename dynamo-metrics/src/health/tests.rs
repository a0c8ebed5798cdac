//! Health as it is said and asked for; canaries are in `tests/health.rs` of the workspace.

use std::thread;
use std::time::Duration;

use super::*;
use crate::clock::Manual;
use crate::encode;

#[expect(clippy::unwrap_used, reason = "a path without an answer fails the test")]
fn ask(health: &Health, path: &str) -> (u16, String) {
    let answer = health.answer(path).unwrap();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
    (answer.status().as_u16(), answer.into_body())
}

fn env(pairs: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    move |name| pairs.iter().find(|(other, _)| *other == name).map(|(_, v)| (*v).to_owned())
}

#[test]
fn answers_are_dynamos_to_the_byte() {
    let time = Manual::new();
    time.run(|| {
        let registry = Registry::new();
        let health = Health::new(&registry).unwrap();
        time.advance(Duration::new(75, 42));
        let empty = r#"{"status":"notready","uptime":{"secs":75,"nanos":42},"endpoints":{}}"#;
        assert_eq!(ask(&health, "/health"), (503, empty.to_owned()));

        let backend = registry.namespace("prod").component("backend");
        let odd = health.endpoint_named(&backend.endpoint("x"), "a\"\\\n\u{1}é").unwrap();
        let generate = health.endpoint(&backend.endpoint("generate")).unwrap();
        generate.ready();
        let both = "{\"status\":\"notready\",\"uptime\":{\"secs\":75,\"nanos\":42},\"endpoints\":{\
                    \"a\\\"\\\\\\n\\u0001é\":\"notready\",\"generate\":\"ready\"}}";
        assert_eq!(ask(&health, "/health"), (503, both.to_owned()));
        let read: serde_json::Value = serde_json::from_str(both).unwrap();
        assert_eq!(read["endpoints"]["a\"\\\n\u{1}é"], "notready");

        odd.remove();
        let ready = "{\"status\":\"ready\",\"uptime\":{\"secs\":75,\"nanos\":42},\
                     \"endpoints\":{\"generate\":\"ready\"}}";
        assert_eq!(ask(&health, "/health"), (200, ready.to_owned()));
        assert_eq!(ask(&health, "/ready"), (200, ready.to_owned()));
    });
}

#[test]
fn live_says_the_same_whatever_health_is() {
    let health = Health::new(&Registry::new()).unwrap();
    let live = (200, r#"{"status":"live"}"#.to_owned());
    assert_eq!(ask(&health, "/live"), live);
    let hold = health.hold("shutdown");
    health.not_ready("broken");
    assert_eq!((ask(&health, "/live"), ask(&health, "/ready").0), (live.clone(), 503));
    drop(hold);
    health.ready();
    assert_eq!((ask(&health, "/live"), ask(&health, "/ready").0), (live, 200));
}

#[test]
fn the_process_is_heard_while_no_endpoint_is_declared() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    assert_eq!(health.status(), Status::NotReady);
    health.ready();
    assert_eq!(health.status(), Status::Ready);
    let endpoint = health.endpoint(&registry.component("c").endpoint("e")).unwrap();
    assert_eq!(health.status(), Status::NotReady);
    endpoint.ready();
    health.not_ready("nobody hears this");
    assert_eq!(health.status(), Status::Ready);
    endpoint.remove();
    assert_eq!(health.status(), Status::NotReady);
}

#[test]
fn an_endpoint_is_ready_only_where_it_said_so() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&registry.component("c").endpoint("e")).unwrap();
    assert_eq!(endpoint.state(), EndpointState::Starting);
    assert_eq!(endpoint.status(), Status::NotReady);
    endpoint.ready();
    assert_eq!((endpoint.state(), endpoint.status()), (EndpointState::Ready, Status::Ready));
    endpoint.draining();
    assert_eq!((endpoint.state(), endpoint.status()), (EndpointState::Draining, Status::NotReady));
    endpoint.ready();
    endpoint.not_ready("why");
    assert_eq!(endpoint.state(), EndpointState::NotReady("why".into()));
    endpoint.remove();
    endpoint.ready();
    assert_eq!((endpoint.state(), endpoint.status()), (EndpointState::Removed, Status::NotReady));
}

#[test]
fn starting_counts_as_it_is_told() {
    let registry = Registry::new();
    let health = Health::builder().starting(Status::Ready).build(&registry).unwrap();
    assert_eq!(health.status(), Status::Ready);
    let endpoint = health.endpoint(&registry.component("c").endpoint("e")).unwrap();
    assert_eq!((endpoint.state(), health.status()), (EndpointState::Starting, Status::Ready));
    assert!(encode::text(&registry).contains(
        "dynamo_metrics_health_status{dynamo_component=\"c\",dynamo_endpoint=\"e\"} 1\n"
    ));
}

#[test]
fn each_hold_must_go() {
    let health = Health::new(&Registry::new()).unwrap();
    health.ready();
    let (first, second) = (health.hold("a"), health.clone().hold("b"));
    assert_eq!(health.holds(), ["a", "b"]);
    drop(first);
    assert_eq!((health.holds(), health.status()), (vec!["b".to_owned()], Status::NotReady));
    drop(second);
    assert_eq!(health.status(), Status::Ready);
    // One that outlives the health is harmless.
    let third = health.hold("c");
    drop(health);
    drop(third);
}

#[test]
fn only_chosen_endpoints_count_and_each_must_be_there() {
    let registry = Registry::new();
    let required = ["generate", "load-metrics"];
    let health = Health::builder().require(required).build(&registry).unwrap();
    let c = registry.component("c");
    health.endpoint(&c.endpoint("generate")).unwrap().ready();
    health.endpoint(&c.endpoint("other")).unwrap();
    health.ready();
    assert_eq!(health.status(), Status::NotReady);
    health.endpoint(&c.endpoint("load-metrics")).unwrap().ready();
    assert_eq!(health.status(), Status::Ready);
    let held = health.hold("held");
    assert_eq!(health.status(), Status::NotReady);
    drop(held);
    health.endpoint(&c.endpoint("generate")).unwrap().remove();
    assert_eq!(health.status(), Status::NotReady);
}

#[test]
fn endpoints_of_one_name_are_ready_together() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let prefill = health.endpoint(&registry.component("prefill").endpoint("generate")).unwrap();
    let decode = health.endpoint(&registry.component("decode").endpoint("generate")).unwrap();
    prefill.ready();
    assert!(ask(&health, "/health").1.ends_with(r#""endpoints":{"generate":"notready"}}"#));
    decode.ready();
    assert!(ask(&health, "/health").1.ends_with(r#""endpoints":{"generate":"ready"}}"#));
    let page = encode::text(&registry);
    assert_eq!(page.matches("dynamo_endpoint=\"generate\"} 1").count(), 2, "{page}");
}

#[test]
fn names_are_those_of_the_place() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let name = |scope: &Scope| health.endpoint(scope).unwrap().name().to_owned();
    assert_eq!(name(&registry), "runtime");
    let ns = registry.namespace("ns");
    assert_eq!(name(&ns), "ns");
    assert_eq!(name(&ns.component("c")), "c");
    assert_eq!(name(&ns.component("c").endpoint("my-e")), "my_e");
}

#[test]
fn one_place_is_one_endpoint_whatever_the_prefix() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let scope = registry.component("c").endpoint("e");
    let first = health.endpoint(&scope).unwrap();
    let second = health.endpoint_named(&scope.with_prefix("own"), "other").unwrap();
    second.ready();
    assert_eq!((first.state(), second.name()), (EndpointState::Ready, "e"));
    second.remove();
    assert_eq!(first.state(), EndpointState::Removed);
    // Declared again, it is new, and the old handles are not its.
    let third = health.endpoint(&scope).unwrap();
    third.ready();
    first.not_ready("old");
    first.remove();
    assert_eq!((third.state(), health.status()), (EndpointState::Ready, Status::Ready));
    assert!(encode::text(&registry).contains("health_status{"));
}

#[test]
fn a_scope_that_was_made_again_has_a_new_endpoint() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let scope = registry.component("c").endpoint("e");
    let old = health.endpoint(&scope).unwrap();
    old.ready();
    scope.remove();
    assert_eq!(health.endpoint(&scope).unwrap_err(), RegisterError::ScopeRemoved);
    let new = health.endpoint(&registry.component("c").endpoint("e")).unwrap();
    assert_eq!((old.state(), new.state()), (EndpointState::Removed, EndpointState::Starting));
    old.remove();
    assert!(
        encode::text(&registry)
            .contains("health_status{dynamo_component=\"c\",dynamo_endpoint=\"e\"} 0")
    );
}

#[test]
fn metrics_say_what_answers_say() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let endpoint = health.endpoint(&registry.component("c").endpoint("e")).unwrap();
    let page = |ready: u8, up: u8, down: u8| {
        let labels = "dynamo_component=\"c\",dynamo_endpoint=\"e\"";
        let to = "# HELP dynamo_metrics_health_transitions_total How often the endpoint became ready, or not.\n\
                  # TYPE dynamo_metrics_health_transitions_total counter\n\
                  dynamo_metrics_health_transitions_total";
        format!(
            "# HELP dynamo_metrics_health_ready 1 if the process is ready, 0 if not.\n\
             # TYPE dynamo_metrics_health_ready gauge\n\
             dynamo_metrics_health_ready {ready}\n\
             # HELP dynamo_metrics_health_status 1 if the endpoint is ready, 0 if not.\n\
             # TYPE dynamo_metrics_health_status gauge\n\
             dynamo_metrics_health_status{{{labels}}} {ready}\n\
             {to}{{{labels},to=\"ready\"}} {up}\n\
             dynamo_metrics_health_transitions_total{{{labels},to=\"notready\"}} {down}\n"
        )
    };
    assert_eq!(encode::text(&registry), page(0, 0, 0));
    endpoint.ready();
    endpoint.ready();
    assert_eq!(encode::text(&registry), page(1, 1, 0));
    endpoint.not_ready("a");
    endpoint.draining();
    assert_eq!(encode::text(&registry), page(0, 1, 1));
    endpoint.remove();
    let page = encode::text(&registry);
    assert_eq!(page.lines().filter(|line| !line.starts_with('#')).count(), 1, "{page}");
    drop(health);
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn paths_can_be_chosen() {
    let registry = Registry::new();
    let builder = Health::builder().health_path("/h").ready_path("/r/z").live_path("/l");
    let health = builder.build(&registry).unwrap();
    assert_eq!(ask(&health, "/h").0, 503);
    assert_eq!(ask(&health, "/r/z").0, 503);
    assert_eq!(ask(&health, "/l").0, 200);
    for other in ["/health", "/ready", "/live", "/", "", "/h/", "h"] {
        assert!(health.answer(other).is_none(), "{other}");
    }
}

#[test]
fn choices_that_cannot_be_are_refused() {
    let registry = Registry::new();
    let build = |builder: HealthBuilder| builder.build(&registry).unwrap_err();
    for bad in ["", "health", "/a b", "/a?b", "/a#b", "/\n"] {
        assert_eq!(build(Health::builder().health_path(bad)), BuildError::Path(bad.to_owned()));
    }
    let same = BuildError::SamePath("/x".to_owned());
    assert_eq!(build(Health::builder().health_path("/x").live_path("/x")), same);
    assert_eq!(build(Health::builder().ready_path("/x").live_path("/x")), same);
    let with = |change: fn(&mut CanarySettings)| {
        let mut settings = CanarySettings::default();
        change(&mut settings);
        build(Health::builder().canary(settings))
    };
    assert_eq!(with(|canary| canary.idle = Duration::ZERO), BuildError::ZeroTime("idle"));
    assert_eq!(with(|canary| canary.timeout = Duration::ZERO), BuildError::ZeroTime("timeout"));
    assert_eq!(with(|canary| canary.failures = 0), BuildError::ZeroFailures);
    assert_eq!(encode::text(&registry), "");
    registry.with_prefix("dynamo_metrics").counter("health_ready", "").register().unwrap();
    assert!(matches!(build(Health::builder()), BuildError::Register(_)));
}

#[test]
fn the_environment_chooses_as_it_does_for_dynamo() {
    let registry = Registry::new();
    let none = Health::from_env(&registry, |_| None).unwrap();
    assert!(!none.canary_settings().enabled);
    assert_eq!((ask(&none, "/health").0, ask(&none, "/live").0), (503, 200));
    let empty = Health::from_env(&registry, |_| Some(" ".to_owned())).unwrap();
    assert_eq!(empty.canary_settings(), none.canary_settings());

    let health = Health::from_env(
        &registry,
        env(&[
            ("DYN_SYSTEM_STARTING_HEALTH_STATUS", "ready"),
            ("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS", r#"["generate", "load-metrics"]"#),
            ("DYN_SYSTEM_HEALTH_PATH", "/custom/health"),
            ("DYN_SYSTEM_LIVE_PATH", "/custom/live"),
            ("DYN_HEALTH_CHECK_ENABLED", "TRUE"),
            ("DYN_CANARY_WAIT_TIME", "30"),
            ("DYN_HEALTH_CHECK_REQUEST_TIMEOUT", " 1.5 "),
        ]),
    )
    .unwrap();
    let canary = health.canary_settings();
    assert!(canary.enabled);
    assert_eq!(canary.idle, Duration::from_secs(30));
    assert_eq!(canary.timeout, Duration::from_millis(1_500));
    assert_eq!(ask(&health, "/custom/live").0, 200);
    assert_eq!(ask(&health, "/custom/health").0, 503);
    let c = registry.component("c");
    health.endpoint(&c.endpoint("generate")).unwrap();
    assert_eq!(ask(&health, "/custom/health").0, 503);
    health.endpoint(&c.endpoint("load_metrics")).unwrap();
    assert_eq!(ask(&health, "/custom/health").0, 200);
}

#[test]
fn bad_variables_are_named_with_their_values() {
    for (variable, value) in [
        ("DYN_SYSTEM_STARTING_HEALTH_STATUS", "healthy"),
        ("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS", "generate"),
        ("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS", "[1]"),
        ("DYN_SYSTEM_HEALTH_PATH", "health"),
        ("DYN_SYSTEM_LIVE_PATH", "/a b"),
        ("DYN_HEALTH_CHECK_ENABLED", "maybe"),
        ("DYN_CANARY_WAIT_TIME", "0"),
        ("DYN_CANARY_WAIT_TIME", "-1"),
        ("DYN_CANARY_WAIT_TIME", "10s"),
        ("DYN_CANARY_WAIT_TIME", "1e300"),
        ("DYN_HEALTH_CHECK_REQUEST_TIMEOUT", "NaN"),
        ("DYN_HEALTH_CHECK_REQUEST_TIMEOUT", "inf"),
    ] {
        let pairs = [(variable, value)];
        let built = Health::from_env(&Registry::new(), env(&pairs));
        let Err(BuildError::Env(error)) = built else { panic!("{variable}={value} was taken") };
        assert_eq!((error.variable, error.value.as_str()), (variable, value));
        let text = error.to_string();
        assert!(text.contains(variable) && text.contains(&format!("{value:?}")), "{text}");
    }
}

#[test]
fn metrics_agree_with_states_that_many_threads_change() {
    let registry = Registry::new();
    let health = Health::new(&registry).unwrap();
    let scope = registry.component("c").endpoint("e");
    let endpoint = health.endpoint(&scope).unwrap();
    thread::scope(|threads| {
        for which in 0..4 {
            let (endpoint, health, registry) = (&endpoint, &health, &registry);
            threads.spawn(move || {
                for round in 0..500 {
                    match (which + round) % 3 {
                        0 => endpoint.ready(),
                        1 => endpoint.not_ready("x"),
                        _ => endpoint.draining(),
                    }
                    let other = registry.component("c").endpoint(&format!("e{which}"));
                    let other = health.endpoint(&other).unwrap();
                    let _hold = health.hold("round");
                    assert_eq!(ask(health, "/health").0, 503);
                    other.remove();
                }
            });
        }
    });
    assert_eq!(health.holds(), [""; 0]);
    let transitions = scope.with_prefix(PREFIX).counter("health_transitions_total", "");
    let transitions: Family<To, crate::metric::Counter> = transitions.family().unwrap();
    let count = |to| transitions.with(&To { to }).get();
    let ready = endpoint.status() == Status::Ready;
    assert_eq!(count(Status::Ready) - count(Status::NotReady), u64::from(ready));
    let line = format!(
        "health_status{{dynamo_component=\"c\",dynamo_endpoint=\"e\"}} {}\n",
        u8::from(ready)
    );
    let page = encode::text(&registry);
    assert!(page.contains(&line), "{page}");
    assert_eq!(page.matches("health_status{").count(), 1, "{page}");
}

#[derive(LabelSet)]
struct To {
    to: Status,
}
