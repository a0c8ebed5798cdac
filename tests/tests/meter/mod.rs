//! A layer on a registry of its own, and services that answer as they are told.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::convert::Infallible;
use std::future::ready;

use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::llm::EndpointOptions;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::script::Script;
use dynamo_metrics_tower::{MetricsLayer, RequestBody, ResponseBody};
use futures_util::FutureExt as _;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::Empty;
use tower::{Layer as _, Service as _, service_fn};

pub(crate) struct Meter {
    pub(crate) registry: Registry,
    pub(crate) layer: MetricsLayer,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let layer = MetricsLayer::new(&registry.namespace("test").component("api")).unwrap();
        Self { registry, layer }
    }

    /// One whose endpoint has choices.
    pub(crate) fn with(options: EndpointOptions) -> Self {
        let registry = Registry::new();
        let scope = registry.namespace("test").component("api");
        let layer = MetricsLayer::builder(&scope).options(options).build().unwrap();
        Self { registry, layer }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of_all(&encode::text(&self.registry))
    }

    /// How the requests so far ended, with their number.
    pub(crate) fn outcomes(&self) -> Vec<(&'static str, f64)> {
        self.counts().outcomes
    }

    /// The value of a metric `dynamo_component_{name}`; `None` if it is not there.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Page::read(&encode::text(&self.registry)).sum(&format!("dynamo_component_{name}"), labels)
    }

    /// The head of the answer of a service that answers at once, and so with its body unread.
    pub(crate) fn answer(
        &self,
        method: Method,
        response: Response<Script>,
    ) -> Response<ResponseBody<Script>> {
        let mut response = Some(response);
        let mut service = self.layer.layer(service_fn(move |_: Request<RequestBody<_>>| {
            ready(Ok::<_, Infallible>(response.take().expect("one call")))
        }));
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        service.call(request).now_or_never().unwrap().unwrap()
    }

    /// The count of a histogram, and its sum in milliseconds.
    pub(crate) fn times(&self, name: &str) -> (f64, f64) {
        let sum = |suffix| self.sum(&format!("{name}_{suffix}"), &[]).unwrap_or_default();
        (sum("count"), (sum("sum") * 1e6).round() / 1e3)
    }

    /// The measured body of a GET that is answered with 200.
    pub(crate) fn body(&self, script: Script) -> ResponseBody<Script> {
        self.answer(Method::GET, Response::new(script)).into_body()
    }

    /// The same, with a content type.
    pub(crate) fn typed(&self, content_type: &'static str, script: Script) -> ResponseBody<Script> {
        let mut response = Response::new(script);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.answer(Method::GET, response).into_body()
    }
}
