//! The attribute beside others, above and below them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum_macros::debug_handler;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;
use tracing::span;
use tracing_attributes::instrument;

use super::{ended, run};

/// Counts how often a span is entered.
#[derive(Default)]
struct Entered(AtomicUsize);

impl tracing::Subscriber for Entered {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {}

    fn enter(&self, _: &span::Id) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn exit(&self, _: &span::Id) {}
}

#[instrumented_endpoint(scope = scope)]
#[instrument(skip_all)]
async fn above(scope: &Scope, ok: bool) -> Result<u8, ()> {
    ok.then_some(7).ok_or(())
}

#[instrument(skip_all, err(Debug))]
#[instrumented_endpoint(scope = scope)]
async fn below(scope: &Scope, ok: bool) -> Result<u8, ()> {
    ok.then_some(7).ok_or(())
}

#[instrumented_endpoint(scope = scope)]
#[instrument(skip_all, ret)]
fn plain_above(scope: &Scope, ok: bool) -> Result<u8, ()> {
    drop(scope.clone());
    ok.then_some(7).ok_or(())
}

#[instrument(skip_all, err(Debug))]
#[instrumented_endpoint(scope = scope)]
fn plain_below(scope: &Scope, ok: bool) -> Result<u8, ()> {
    drop(scope.clone());
    ok.then_some(7).ok_or(())
}

#[test]
fn spans_are_open_in_the_body_and_runs_are_counted() {
    let registry = Registry::new();
    let entered = Arc::new(Entered::default());
    tracing::subscriber::with_default(Arc::clone(&entered), || {
        for ok in [true, false] {
            for done in [
                run(above(&registry, ok)),
                run(below(&registry, ok)),
                plain_above(&registry, ok),
                plain_below(&registry, ok),
            ] {
                assert_eq!(done.is_ok(), ok);
            }
        }
    });
    assert!(entered.0.load(Ordering::Relaxed) >= 8);
    for endpoint in ["above", "below", "plain_above", "plain_below"] {
        assert_eq!(ended(&registry, endpoint), "server_error=1 success=1", "{endpoint}");
    }
}

#[debug_handler]
#[instrumented_endpoint(scope = registry)]
async fn handler_below(State(registry): State<Registry>) -> Result<String, StatusCode> {
    Ok(format!("{}", registry.is_endpoint()))
}

#[instrumented_endpoint(scope = registry)]
#[debug_handler]
async fn handler_above(State(registry): State<Registry>) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("{}", registry.is_endpoint()))
}

#[tokio::test]
async fn handlers_may_be_debugged() {
    let registry = Registry::new();
    let app = Router::new()
        .route("/below", get(handler_below))
        .route("/above", get(handler_above))
        .with_state(registry.clone());
    for path in ["/below", "/above"] {
        let request = Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "false");
    }
    assert_eq!(ended(&registry, "handler_below"), "success=1");
    assert_eq!(ended(&registry, "handler_above"), "client_error=1");
}

#[instrumented_endpoint(name = "above_a_main")]
#[tokio::main(flavor = "current_thread")]
async fn main_below() -> u8 {
    7
}

#[tokio::main(flavor = "current_thread")]
#[instrumented_endpoint(name = "below_a_main")]
async fn main_above() -> u8 {
    7
}

#[test]
fn a_main_may_be_measured() {
    assert_eq!((main_below(), main_above()), (7, 7));
    assert_eq!(ended(Registry::global(), "above_a_main"), "success=1");
    assert_eq!(ended(Registry::global(), "below_a_main"), "success=1");
}

#[tokio::test]
#[instrumented_endpoint(name = "a_test_below")]
async fn a_test_may_be_measured_from_below() {
    let text = dynamo_metrics::encode::text(Registry::global());
    assert!(text.contains("inflight_requests{dynamo_endpoint=\"a_test_below\"} 1\n"), "{text}");
}
