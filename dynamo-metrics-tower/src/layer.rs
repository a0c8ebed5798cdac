//! The layer: all that it knows is made before it, and shared by the services that it makes.

use std::sync::Arc;

use dynamo_metrics::registry::Scope;
use tower_layer::Layer;

use crate::builder::MetricsLayerBuilder;
use crate::drain::Drain;
use crate::error::BuildError;
use crate::routes::Routes;
use crate::service::Metrics;

/// Measures the requests of a service.
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
        MetricsLayerBuilder::new(scope)
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
