//! The layer: all that it knows is made before it, and shared by the services that it makes.

use std::sync::Arc;

use dynamo_metrics::llm::Side;
use dynamo_metrics::registry::Scope;
use tower_layer::Layer;

use crate::builder::MetricsLayerBuilder;
use crate::drain::Drain;
use crate::error::BuildError;
use crate::routes::Routes;
use crate::service::Metrics;

/// The prefix of what is measured around a client.
const UPSTREAM: &str = "dynamo_upstream";

/// Measures the requests of a service, or of a client.
///
/// Making one registers everything; adding it to a service clones an `Arc`, and binds no port.
#[derive(Debug, Clone)]
pub struct MetricsLayer(pub(crate) Arc<Routes>);

impl MetricsLayer {
    /// Measures all requests as one endpoint: `scope` itself if it is an endpoint's, else its
    /// endpoint `unmatched`.
    ///
    /// # Errors
    /// [`BuildError::Register`].
    pub fn new(scope: &Scope) -> Result<Self, BuildError> {
        Self::builder(scope).build()
    }

    /// Measures requests by where they go, as endpoints below `scope`.
    pub fn builder(scope: &Scope) -> MetricsLayerBuilder {
        MetricsLayerBuilder::new(scope, Side::Server)
    }

    /// Measures the requests that this process makes, around a client: as `dynamo_upstream_*` instead
    /// of `dynamo_component_*`, and with all that there is of a served one. Time to first token, say,
    /// is then what this process waits for its upstream.
    ///
    /// Endpoints are mostly [`upstream`](MetricsLayerBuilder::upstream)s. Clients that take one kind of
    /// body only need a `map_request` between, that makes one of a [`RequestBody`](crate::RequestBody).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    /// use dynamo_metrics_tower::{MetricsLayer, RequestBody};
    /// use http::{Request, Response};
    /// use http_body_util::{BodyExt, Full};
    /// use tower::{Layer, ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let registry = Registry::new();
    /// let layer = MetricsLayer::client(&registry.component("router"))
    ///     .upstream("10.0.0.1:8000", "worker_a")
    ///     .upstream("10.0.0.2:8000", "worker_b")
    ///     .build()
    ///     .unwrap();
    /// let client = layer.layer(service_fn(|_: Request<RequestBody<Full<&[u8]>>>| async {
    ///     Ok::<_, std::convert::Infallible>(Response::new(Full::new(&b"hi"[..])))
    /// }));
    /// let request = Request::get("http://10.0.0.2:8000/v1/models").body(Full::default()).unwrap();
    /// client.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    /// assert!(encode::text(&registry).contains(
    ///     "dynamo_upstream_requests_total{dynamo_component=\"router\",\
    ///      dynamo_endpoint=\"worker_b\"} 1"
    /// ));
    /// # });
    /// ```
    pub fn client(scope: &Scope) -> MetricsLayerBuilder {
        MetricsLayerBuilder::new(&scope.with_prefix(UPSTREAM), Side::Client)
    }

    /// Resolves when no request that this layer measures is open any more: each answer's *body* has
    /// ended, whatever way.
    ///
    /// It keeps nobody out: requests that come while it waits are waited for as well, so the server has
    /// to stop accepting first. What is excluded is not waited for.
    ///
    /// # Cost
    /// Two atomic operations for each request, whether somebody waits or not.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let layer = MetricsLayer::new(&Registry::new().component("api")).unwrap();
    /// let drained = layer.drain();
    /// // .. the layer is put on a service, which serves until it is told to stop ..
    /// tokio::time::timeout(std::time::Duration::from_secs(30), drained).await.unwrap();
    /// # });
    /// ```
    pub fn drain(&self) -> Drain {
        Drain::new(Arc::clone(&self.0))
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics::new(Arc::clone(&self.0), inner)
    }
}
