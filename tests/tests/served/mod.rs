//! A measured axum server on a real socket, with a route for each way in which an answer can end.

// Each test program uses its own part of this.
#![allow(dead_code)]

pub(crate) mod h2;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{MethodRouter, any, get};
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::script::{Script, Step};
use dynamo_metrics_tower::MetricsLayer;
use futures_util::{StreamExt as _, stream};
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TRAILER};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Longest wait for a server to notice what its client did. A pass takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Served {
    pub(crate) registry: Registry,
    pub(crate) address: SocketAddr,
    /// Answers of `/gated` end when this says so.
    pub(crate) gate: watch::Sender<bool>,
}

impl Served {
    /// Serves [`routes`], measured.
    pub(crate) async fn start() -> Self {
        let (gate, open) = watch::channel(false);
        Self::start_with(routes(&open), gate).await
    }

    /// Serves these routes, measured: `/gated` as an endpoint, the rest as another.
    pub(crate) async fn start_with(routes: Router, gate: watch::Sender<bool>) -> Self {
        let (registry, layer) = layer();
        Self { registry, address: serve(routes.layer(layer)).await, gate }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of_all(&encode::text(&self.registry))
    }

    pub(crate) fn counts_of(&self, endpoint: &str) -> Counts {
        Counts::of_endpoint(&encode::text(&self.registry), endpoint)
    }

    /// Waits until the counts are as `wanted`; the server works in its own time.
    pub(crate) async fn when(&self, wanted: impl Fn(&Counts) -> bool) -> Counts {
        let wait = async {
            loop {
                let counts = self.counts();
                if wanted(&counts) {
                    return counts;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let seen = tokio::time::timeout(PATIENCE, wait).await;
        seen.unwrap_or_else(|_| panic!("still {:?}", self.counts()))
    }

    /// Waits for the end of the one request that was made, and gives its outcome.
    pub(crate) async fn end_of_one(&self) -> &'static str {
        let counts = self.when(|counts| counts.ended >= 1.0 && counts.in_flight == 0.0).await;
        assert!(counts.is_settled(), "{counts:?}");
        assert_eq!(counts.ended, 1.0);
        counts.outcomes[0].0
    }

    /// Waits until the one request that was made is in its handler or beyond.
    pub(crate) async fn start_of_one(&self) {
        let counts = self.when(|counts| counts.started >= 1.0).await;
        assert_eq!((counts.started, counts.ended, counts.in_flight), (1.0, 0.0, 1.0));
    }
}

/// A layer with two endpoints, `gated` and `unmatched`.
pub(crate) fn layer() -> (Registry, MetricsLayer) {
    let registry = Registry::new();
    let scope = registry.namespace("test").component("api");
    let layer = MetricsLayer::builder(&scope).route("/gated", "gated").build().unwrap();
    (registry, layer)
}

/// Serves `app` on a port of its own, for as long as the runtime lives.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A route for each way to end. Bodies that are stuck end only when they are dropped.
pub(crate) fn routes(gate: &watch::Receiver<bool>) -> Router {
    let gate = gate.clone();
    let (hello, world) = (Step::data("hello"), Step::data("world"));
    let (content, done) = (Step::data(&openai::content("Hi")), Step::data(DONE));
    let ten = [(CONTENT_LENGTH, "10")];
    let sse = [(CONTENT_TYPE, "text/event-stream")];
    let two = [hello.clone(), world];
    let open = [hello.clone(), Step::Stuck];
    let trailers = [hello.clone(), Step::trailer("key", "value")];
    let failing = [hello.clone(), Step::Pending, Step::Fail];
    let panicking = [hello, Step::Pending, Step::Panic];
    Router::new()
        .route("/plain", any(|| async { "hello" }))
        .route("/empty", get(|| async {}))
        .route("/204", played(204, &ten, [Step::Stuck]))
        // Over HTTP/2 hyper sends even this body, so that it must have an end.
        .route("/304", played(304, &ten, two.clone()))
        .route("/chunked", played(200, &[], two.clone()))
        .route("/declared", played(200, &ten, two))
        .route("/trailers", played(200, &[(TRAILER, "key")], trailers))
        .route("/sse", played(200, &sse, [content.clone(), done.clone()]))
        .route("/sse-open", played(200, &sse, [content, done, Step::Stuck]))
        .route("/chunked-open", played(200, &[], open.clone()))
        .route("/declared-open", played(200, &ten, open))
        .route("/error", played(200, &[], failing))
        .route("/panic", played(200, &[], panicking))
        .route("/panic-early", get(async || -> () { panic!("in the handler") }))
        .route("/never", get(std::future::pending::<()>))
        .route("/gated", get(move || std::future::ready(gated(gate.clone()))))
}

/// Answers every method with a script.
fn played<const N: usize>(
    status: u16,
    headers: &[(HeaderName, &'static str)],
    steps: [Step; N],
) -> MethodRouter {
    let (headers, script) = (headers.to_vec(), Script::new(steps));
    any(move || {
        let mut response = Response::builder().status(status);
        for (name, value) in &headers {
            response = response.header(name, *value);
        }
        std::future::ready(response.body(Body::new(script.clone())).unwrap())
    })
}

/// An event at once, and the rest when the gate opens.
fn gated(mut gate: watch::Receiver<bool>) -> Response<Body> {
    let rest = async move {
        gate.wait_for(|open| *open).await?;
        Ok::<_, watch::error::RecvError>(openai::finish() + DONE)
    };
    let events = stream::iter([Ok(openai::content("Hi"))]).chain(stream::once(rest));
    let response = Response::builder().header(CONTENT_TYPE, "text/event-stream");
    response.body(Body::from_stream(events)).unwrap()
}
