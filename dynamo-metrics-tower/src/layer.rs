//! The layer: which path is which endpoint, decided once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

use dynamo_metrics::llm::stream::{ChooseReader, StreamReader};
use dynamo_metrics::llm::{EndpointMetrics, FrontendMetrics};
use dynamo_metrics::registry::{RegisterError, Scope};
use tower_layer::Layer;

use crate::service::Metrics;

/// The endpoint of requests whose path is none of the routes.
const UNMATCHED: &str = "unmatched";

/// Measures the requests of a service.
///
/// Making one registers everything; adding it to a service clones an `Arc`, and binds no port.
#[derive(Debug, Clone)]
pub struct MetricsLayer(Arc<Routes>);

/// The choices of a [`MetricsLayer`].
#[derive(Clone)]
#[must_use = "nothing is measured before `build`"]
pub struct MetricsLayerBuilder {
    scope: Scope,
    routes: Vec<(String, Choice)>,
    reader: Option<ChooseReader>,
}

#[derive(Debug, Clone)]
enum Choice {
    Endpoint { name: String, frontend: Option<FrontendMetrics> },
    Excluded,
}

/// Why a layer could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The metrics of an endpoint could not be registered.
    #[error("cannot register the metrics of endpoint {endpoint}")]
    Register {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: RegisterError,
    },
    /// A path is a pattern, and only exact paths are known.
    #[error("{0} is no exact path")]
    Pattern(String),
    /// An endpoint has no name, or one of which nothing is left.
    #[error("the endpoint of {0} has no name")]
    Nameless(String),
    /// One path is given twice.
    #[error("path {0} is given twice")]
    RepeatedPath(String),
}

/// Every endpoint, by path.
pub(crate) struct Routes {
    by_path: HashMap<String, Option<Route>>,
    unmatched: Route,
    pub(crate) reader: Option<ChooseReader>,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) endpoint: EndpointMetrics,
    pub(crate) frontend: Option<(FrontendMetrics, Arc<str>)>,
}

impl MetricsLayer {
    /// Measures all requests as one endpoint: `scope` itself if it is an endpoint's, else its
    /// endpoint `unmatched`.
    ///
    /// # Errors
    /// [`BuildError::Register`].
    pub fn new(scope: &Scope) -> Result<Self, BuildError> {
        Self::builder(scope).build()
    }

    /// Measures requests by their path, as endpoints below `scope`.
    pub fn builder(scope: &Scope) -> MetricsLayerBuilder {
        MetricsLayerBuilder { scope: scope.clone(), routes: Vec::new(), reader: None }
    }
}

impl MetricsLayerBuilder {
    /// Requests to exactly `path` are the endpoint `name` (default: `unmatched`). A path with
    /// parameters cannot be given yet; put a layer of its own on such a route.
    pub fn route(mut self, path: &str, name: &str) -> Self {
        let choice = Choice::Endpoint { name: name.to_owned(), frontend: None };
        self.routes.push((path.to_owned(), choice));
        self
    }

    /// The same, and requests there count for `frontend` as well. Their handlers find a
    /// [`RequestMetrics`](crate::RequestMetrics) in the request's extensions, to tell it the model.
    pub fn frontend_route(mut self, path: &str, name: &str, frontend: &FrontendMetrics) -> Self {
        let frontend = Some(frontend.clone());
        let choice = Choice::Endpoint { name: name.to_owned(), frontend };
        self.routes.push((path.to_owned(), choice));
        self
    }

    /// Requests to exactly `path` are not measured at all (default: all are).
    pub fn exclude(mut self, path: &str) -> Self {
        self.routes.push((path.to_owned(), Choice::Excluded));
        self
    }

    /// Chooses how an answer is read for its tokens, by its head (default: by its content type, as
    /// [`dynamo_metrics::llm::stream`] has it). `None` leaves the choice to the default.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::stream::{Seen, StreamReader};
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// /// A token on each line.
    /// struct Lines;
    ///
    /// impl StreamReader for Lines {
    ///     fn read(&mut self, frame: &[u8], seen: &mut Seen) {
    ///         seen.tokens += frame.iter().filter(|&&byte| byte == b'\n').count() as u64;
    ///     }
    /// }
    ///
    /// let layer = MetricsLayer::builder(&Registry::new().component("api"))
    ///     .stream_reader(|head| {
    ///         let lines = head.headers.get("content-type")? == "text/x-lines";
    ///         lines.then(|| Box::new(Lines) as Box<dyn StreamReader>)
    ///     })
    ///     .build()?;
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    pub fn stream_reader(
        mut self,
        choose: impl Fn(&http::response::Parts) -> Option<Box<dyn StreamReader>> + Send + Sync + 'static,
    ) -> Self {
        self.reader = Some(Arc::new(choose));
        self
    }

    /// Registers every endpoint.
    ///
    /// # Errors
    /// [`BuildError::Pattern`], [`BuildError::Nameless`] and [`BuildError::RepeatedPath`] for paths
    /// and names that cannot be; [`BuildError::Register`] if a metric's name is taken.
    pub fn build(self) -> Result<MetricsLayer, BuildError> {
        let mut by_path = HashMap::with_capacity(self.routes.len());
        for (path, choice) in self.routes {
            if !path.starts_with('/') || path.contains(['{', '}', '*']) || path.contains("/:") {
                return Err(BuildError::Pattern(path));
            }
            if let Choice::Endpoint { name, .. } = &choice
                && !self.scope.endpoint(name).is_endpoint()
            {
                return Err(BuildError::Nameless(path));
            }
            let place = match by_path.entry(path) {
                Entry::Vacant(place) => place,
                Entry::Occupied(taken) => {
                    return Err(BuildError::RepeatedPath(taken.key().clone()));
                }
            };
            place.insert(match choice {
                Choice::Excluded => None,
                Choice::Endpoint { name, frontend } => {
                    let endpoint = register(&self.scope.endpoint(&name), &name)?;
                    let frontend = frontend.map(|frontend| (frontend, name.into()));
                    Some(Route { endpoint, frontend })
                }
            });
        }
        let unmatched = if self.scope.is_endpoint() {
            self.scope.clone()
        } else {
            self.scope.endpoint(UNMATCHED)
        };
        let unmatched = Route { endpoint: register(&unmatched, UNMATCHED)?, frontend: None };
        Ok(MetricsLayer(Arc::new(Routes { by_path, unmatched, reader: self.reader })))
    }
}

impl Routes {
    /// The endpoint of `path`; `None` if it is excluded.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        self.by_path.get(path).map_or(Some(&self.unmatched), Option::as_ref)
    }
}

impl fmt::Debug for MetricsLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayerBuilder")
            .field("scope", &self.scope)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("by_path", &self.by_path).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics::new(Arc::clone(&self.0), inner)
    }
}

fn register(scope: &Scope, endpoint: &str) -> Result<EndpointMetrics, BuildError> {
    EndpointMetrics::register(scope)
        .map_err(|source| BuildError::Register { endpoint: endpoint.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use dynamo_metrics::registry::Registry;

    use super::*;

    #[test]
    fn paths_that_would_never_match_are_refused() {
        let scope = Registry::new().component("api");
        for path in ["/v1/{model}", "/v1/:model", "/v1/*rest", "v1", ""] {
            let built = MetricsLayer::builder(&scope).route(path, "x").build();
            assert_eq!(built.err(), Some(BuildError::Pattern(path.into())));
        }
        let twice = MetricsLayer::builder(&scope).route("/a", "a").exclude("/a").build();
        assert_eq!(twice.err(), Some(BuildError::RepeatedPath("/a".into())));
        let nameless = MetricsLayer::builder(&scope).route("/a", "").build();
        assert_eq!(nameless.err(), Some(BuildError::Nameless("/a".into())));
    }
}
