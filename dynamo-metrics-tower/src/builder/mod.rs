//! The choices of a layer, checked when it is built.

mod build;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use dynamo_metrics::llm::stream::{ChooseReader, StreamReader};
use dynamo_metrics::llm::{EndpointOptions, FrontendMetrics, GrpcCode, Side};
use dynamo_metrics::registry::Scope;

use crate::descriptor;
use crate::head::RequestHead;
use crate::methods::MethodLabels;
use crate::route::{RouteKinds, bent};
use crate::routes::Choose;

/// The choices of a [`MetricsLayer`](crate::MetricsLayer).
///
/// A request's endpoint is, in this order: that of its [`upstream`](Self::upstream); that of its exact path; what [`choose`](Self::choose)
/// says; that of axum's route (`matched_routes`), or else of the template
/// that its path fits; `unmatched`. Nothing of it that a client sent becomes a name.
#[derive(Clone)]
#[must_use = "nothing is measured before `build`"]
pub struct MetricsLayerBuilder {
    kinds: RouteKinds,
    scope: Scope,
    routes: Vec<(String, Choice)>,
    upstreams: Vec<(String, String)>,
    grpc_successes: Vec<GrpcCode>,
    grpc: Vec<GrpcMethod>,
    bad_descriptor: bool,
    chosen: Option<(Choose, Vec<String>)>,
    #[cfg(feature = "axum")]
    matched: bool,
    reader: Option<ChooseReader>,
    /// The endpoints that were made.
    named: HashSet<String>,
}

/// Service, method, and the frontend whose requests they are.
type GrpcMethod = (String, String, Option<FrontendMetrics>);

#[derive(Debug, Clone)]
enum Choice {
    Endpoint { name: String, frontend: Option<FrontendMetrics> },
    Excluded,
}

impl MetricsLayerBuilder {
    pub(crate) fn new(scope: &Scope, side: Side) -> Self {
        let mut kinds = RouteKinds::default();
        kinds.common.side = side;
        Self {
            kinds,
            scope: scope.clone(),
            routes: Vec::new(),
            upstreams: Vec::new(),
            grpc: Vec::new(),
            grpc_successes: Vec::new(),
            bad_descriptor: false,
            chosen: None,
            #[cfg(feature = "axum")]
            matched: false,
            reader: None,
            named: HashSet::new(),
        }
    }

    /// Requests to `path` are the endpoint `name` (default: `unmatched`).
    ///
    /// A path may be a template, with axum's grammar: `{model}` stands for a part of the path up to
    /// the next `/`, `{*rest}` for all that is left of it. An exact path goes before a template.
    ///
    /// # Cost
    /// A hash of the path; a template, a walk along it, and an allocation if it has more than three
    /// parameters.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// let layer = MetricsLayer::builder(&Registry::new().component("api"))
    ///     .route("/v1/models", "models")
    ///     .route("/v1/models/{model}", "model_card")
    ///     .exclude("/internal/{*rest}")
    ///     .build()?;
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
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

    /// Requests to `path`, which may be a template, are not measured at all (default: all are).
    pub fn exclude(mut self, path: &str) -> Self {
        self.routes.push((path.to_owned(), Choice::Excluded));
        self
    }

    /// A request's endpoint is the one of `names` whose index `choose` gives; with `None`, or past
    /// their end, it is found as without this (default: no such function).
    ///
    /// The function is called for each request whose exact path is not given. A panic of it is `None`.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// let layer = MetricsLayer::builder(&Registry::new().component("api"))
    ///     .choose(["batch", "interactive"], |head| {
    ///         let class = head.headers.get("x-class")?;
    ///         ["batch", "interactive"].iter().position(|name| class == name)
    ///     })
    ///     .build()?;
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    pub fn choose<'a>(
        mut self,
        names: impl IntoIterator<Item = &'a str>,
        choose: impl Fn(&RequestHead<'_>) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        self.chosen = Some((Arc::new(choose), names.into_iter().map(str::to_owned).collect()));
        self
    }

    /// Requests whose URI is at `authority`, as `10.0.0.1:8000`, are the endpoint `name`, whatever
    /// their path (default: only by what is given otherwise). Several authorities may share a name.
    ///
    /// Meant for [`MetricsLayer::client`](crate::MetricsLayer::client), where URIs are whole.
    pub fn upstream(mut self, authority: &str, name: &str) -> Self {
        self.upstreams.push((authority.to_owned(), name.to_owned()));
        self
    }

    /// The methods of a gRPC service are endpoints of their own (default: no service is known).
    ///
    /// `service` is its whole name, package included (tonic's `NamedService::NAME`); its method `Say` is
    /// the endpoint `package_Service_Say`, and has [`GrpcMetrics`](dynamo_metrics::llm::GrpcMetrics) as well, with all statuses at zero.
    /// gRPC requests to what is not known are the endpoint `_OTHER` then.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// let registry = Registry::new();
    /// let layer = MetricsLayer::builder(&registry.component("api"))
    ///     .grpc_service("inference.GRPCInferenceService", ["ModelInfer", "ModelStreamInfer"])
    ///     .build()?;
    /// assert!(encode::text(&registry).contains(
    ///     "dynamo_component_grpc_status_total{code=\"UNAVAILABLE\",dynamo_component=\"api\",\
    ///      dynamo_endpoint=\"inference_GRPCInferenceService_ModelInfer\"} 0"
    /// ));
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    pub fn grpc_service<'a>(
        mut self,
        service: &str,
        methods: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let methods = methods.into_iter();
        self.grpc.extend(methods.map(|method| (service.to_owned(), method.to_owned(), None)));
        self
    }

    /// The same, and requests for these methods count for `frontend` as well. Their handlers find a
    /// [`RequestMetrics`](crate::RequestMetrics) in the request's extensions, to tell it the model.
    pub fn grpc_frontend<'a>(
        mut self,
        service: &str,
        methods: impl IntoIterator<Item = &'a str>,
        frontend: &FrontendMetrics,
    ) -> Self {
        let method = |method: &str| (service.to_owned(), method.to_owned(), Some(frontend.clone()));
        self.grpc.extend(methods.into_iter().map(method));
        self
    }

    /// [`grpc_service`](Self::grpc_service) for every service of an encoded `FileDescriptorSet`, as reflection servers take it
    /// (default: none).
    pub fn grpc_descriptor_set(mut self, set: &[u8]) -> Self {
        match descriptor::methods(set) {
            Some(methods) => {
                let methods = methods.into_iter().map(|(service, method)| (service, method, None));
                self.grpc.extend(methods);
            }
            None => self.bad_descriptor = true,
        }
        self
    }

    /// Calls of the gRPC methods that are known end as a success also with one of `codes` (default: only
    /// with `OK`). Their status is shown as it is.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::{GrpcCode, MetricsLayer};
    ///
    /// // Whoever asks whether something is there may be told that it is not.
    /// let layer = MetricsLayer::builder(&Registry::new().component("api"))
    ///     .grpc_service("store.Store", ["Find"])
    ///     .grpc_successes([GrpcCode::NotFound])
    ///     .build()?;
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    pub fn grpc_successes(mut self, codes: impl IntoIterator<Item = GrpcCode>) -> Self {
        self.grpc_successes = codes.into_iter().collect();
        self
    }

    /// Requests are endpoints by axum's `MatchedPath`, the template of their route (default: only by
    /// what is given here).
    ///
    /// A template that is given by [`route`](Self::route) has the name that it has there; another is
    /// called by its text, with `_` for `/` and `by_` before a parameter: `/v1/models/{model}` is
    /// `v1_models_by_model`. Templates whose names come out the same are one endpoint. An endpoint
    /// is registered when it is first asked for, 1 024 at most; routes are code, so there is an end to
    /// them.
    ///
    /// The layer has to be on the router (`Router::layer`), which knows no template outside of it.
    ///
    /// # Cost
    /// A look into the request's extensions and a hash of the template, once it is registered.
    ///
    /// # Examples
    /// ```
    /// use axum::{Router, routing::get};
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// let layer = MetricsLayer::builder(&Registry::new().component("api")).matched_routes().build()?;
    /// let app: Router = Router::new().route("/v1/models/{model}", get(|| async {})).layer(layer);
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    #[cfg(feature = "axum")]
    pub fn matched_routes(mut self) -> Self {
        self.matched = true;
        self
    }

    /// Every endpoint's series have a label `method` with values from `methods` (default: none has).
    pub fn method_labels(mut self, methods: MethodLabels) -> Self {
        self.kinds.common.methods = Some(methods);
        self
    }

    /// The choices of the endpoint `name`, as it is given or as its label has it (default: those of
    /// all).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use dynamo_metrics::llm::{EndpointOptions, Slo};
    /// use dynamo_metrics::registry::Registry;
    /// use dynamo_metrics_tower::MetricsLayer;
    ///
    /// let slo = Slo::new().time_to_first_token(Duration::from_millis(300));
    /// let layer = MetricsLayer::builder(&Registry::new().component("api"))
    ///     .route("/v1/chat/completions", "chat_completions")
    ///     .endpoint_options("chat_completions", EndpointOptions::new().slo(slo))
    ///     .build()?;
    /// # Ok::<(), dynamo_metrics_tower::BuildError>(())
    /// ```
    pub fn endpoint_options(mut self, name: &str, options: EndpointOptions) -> Self {
        self.kinds.own.insert(bent(name), options);
        self
    }

    /// The choices of all endpoints that have none of their own (default: [`EndpointOptions::new`]).
    pub fn options(mut self, options: EndpointOptions) -> Self {
        self.kinds.common.options = options;
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
}

impl fmt::Debug for MetricsLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsLayerBuilder")
            .field("scope", &self.scope)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}
