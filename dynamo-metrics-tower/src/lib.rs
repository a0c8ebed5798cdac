//! A tower layer that measures requests to the end of their response bodies.
//!
//! Wrap any `tower::Service<http::Request<_>>` (an axum router, a tonic server, a hyper service) in
//! [`MetricsLayer`], and each of its endpoints has counters, histograms and in-flight gauges, with
//! time to first token and inter-token latency read from the response body itself. See
//! [`EndpointMetrics`](dynamo_metrics::llm::EndpointMetrics) for what is measured.
//!
//! A request is in flight until its *body* ends, whatever ends it. Bodies are passed on untouched:
//! what goes over the wire is what it would be without the layer.
//!
//! # Examples
//! ```
//! use dynamo_metrics::{encode, registry::Registry};
//! use dynamo_metrics_tower::MetricsLayer;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let registry = Registry::new();
//! let layer = MetricsLayer::builder(&registry.namespace("prod").component("api"))
//!     .route("/hello", "hello")
//!     .build()
//!     .unwrap();
//! let service = layer.layer(service_fn(|_| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(&b"hi"[..])))
//! }));
//!
//! let request = Request::get("/hello").body(Full::new(&b""[..])).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hi");
//! assert!(encode::text(&registry).contains(
//!     "dynamo_component_response_bytes_total{dynamo_component=\"api\",\
//!      dynamo_endpoint=\"hello\",dynamo_namespace=\"prod\"} 2"
//! ));
//! # });
//! ```

mod accept;
mod builder;
mod descriptor;
mod drain;
mod error;
mod head;
mod layer;
#[cfg(feature = "axum")]
mod matched;
mod methods;
mod request;
mod route;
mod routes;
mod service;
#[cfg(feature = "timeout")]
mod timeout;

pub use accept::{Accept, AcceptFuture, AcceptLayer, Arrival, NoReasons, ReasonFn, Reasons};
pub use builder::MetricsLayerBuilder;
pub use drain::Drain;
pub use dynamo_metrics::llm::{
    CancelReason, ConnectionGuard, ConnectionMetrics, GrpcCode, GrpcMetrics, RejectReason,
    RequestMetrics, ResponseBody,
};
pub use error::BuildError;
pub use head::RequestHead;
pub use layer::MetricsLayer;
pub use methods::MethodLabels;
pub use request::RequestBody;
pub use service::{Metrics, ResponseFuture};
#[cfg(feature = "timeout")]
pub use timeout::{Timeout, TimeoutFuture, TimeoutLayer};
