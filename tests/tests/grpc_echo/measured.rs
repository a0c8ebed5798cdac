//! What a layer says of the echo's methods.

use std::future::ready;
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::{Broken, Script};
use dynamo_metrics_tower::{MetricsLayer, MetricsLayerBuilder, ResponseBody};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{METHODS, NAME};

/// A layer that knows the methods of the echo, on a registry of its own.
pub(crate) struct Grpc {
    pub(crate) registry: Registry,
    pub(crate) layer: MetricsLayer,
}

impl Grpc {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(choose: impl FnOnce(MetricsLayerBuilder) -> MetricsLayerBuilder) -> Self {
        let registry = Registry::new();
        let builder = MetricsLayer::builder(&registry.namespace("test").component("api"));
        let layer = with_echo(choose(builder));
        Self { registry, layer }
    }

    /// The other end: a layer around a client.
    pub(crate) fn client() -> Self {
        let registry = Registry::new();
        let builder = MetricsLayer::client(&registry.namespace("test").component("gateway"));
        Self { layer: with_echo(builder), registry }
    }

    pub(crate) fn sum(&self, name: &str, method: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let endpoint = format!("test_v1_Echo_{method}");
        let endpoint = [("dynamo_endpoint", if method == "_OTHER" { method } else { &endpoint })];
        let page = Page::read(&encode::text(&self.registry));
        let sum = |prefix| page.sum(&format!("{prefix}_{name}"), &[&endpoint, labels].concat());
        sum("dynamo_component").or_else(|| sum("dynamo_upstream"))
    }

    /// Messages of a method, sent and received.
    pub(crate) fn messages(&self, method: &str) -> (f64, f64) {
        let of = |direction| self.sum("grpc_messages_total", method, &[("direction", direction)]);
        (of("sent").unwrap(), of("received").unwrap())
    }

    pub(crate) fn status(&self, method: &str, code: &str) -> f64 {
        self.sum("grpc_status_total", method, &[("code", code)]).unwrap()
    }

    pub(crate) fn outcome(&self, method: &str, outcome: &str) -> f64 {
        self.sum("request_outcomes_total", method, &[("outcome", outcome)]).unwrap()
    }

    /// Waits until this end has seen the ends of so many calls.
    pub(crate) async fn ended(&self, method: &str, calls: f64) {
        let wait = async {
            while self.sum("requests_total", method, &[]) != Some(calls) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
        assert_eq!(self.sum("inflight_requests", method, &[]), Some(0.0));
    }

    /// Answers one request to `Say` with `response`, and gives the body.
    pub(crate) fn answer(&self, response: Response<Script>) -> ResponseBody<Script> {
        answer(&self.layer, "/test.v1.Echo/Say", response)
    }
}

/// Answers one request to `path` with `response`, and gives the body.
pub(crate) fn answer(
    layer: &MetricsLayer,
    path: &str,
    response: Response<Script>,
) -> ResponseBody<Script> {
    let mut response = Some(response);
    let service = layer
        .layer(service_fn(move |_: Request<_>| ready(Ok::<_, Broken>(response.take().unwrap()))));
    let request = Request::post(path).body(Empty::<bytes::Bytes>::new()).unwrap();
    service.oneshot(request).now_or_never().unwrap().unwrap().into_body()
}

pub(crate) fn with_echo(builder: MetricsLayerBuilder) -> MetricsLayer {
    builder.grpc_service(NAME, METHODS).build().unwrap()
}

pub(crate) fn grpc() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}
