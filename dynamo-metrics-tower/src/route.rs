//! One endpoint of a layer, as a whole or by method.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use dynamo_metrics::llm::{
    EndpointMetrics, EndpointOptions, FrontendMetrics, GrpcCode, GrpcMetrics, Side,
};
use dynamo_metrics::registry::{RegisterError, Scope};
use http::Method;

use crate::error::BuildError;
use crate::methods::MethodLabels;

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Route {
    endpoint: EndpointMetrics,
    by_method: Option<ByMethod>,
    pub(crate) frontend: Option<(FrontendMetrics, Arc<str>)>,
    pub(crate) grpc: Option<GrpcMetrics>,
}

/// What the endpoints of a layer are made by.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteKinds {
    /// That of endpoints which have none of their own.
    pub(crate) common: RouteKind,
    /// The choices of those that do.
    pub(crate) own: HashMap<String, EndpointOptions>,
}

/// What one endpoint is made by.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteKind {
    pub(crate) side: Side,
    pub(crate) methods: Option<MethodLabels>,
    pub(crate) options: EndpointOptions,
}

/// The endpoint's series for each method, made when that is first used. What is no method of the
/// set is counted by the endpoint's own.
#[derive(Debug)]
struct ByMethod {
    kind: RouteKind,
    scope: Scope,
    made: Box<[OnceLock<Option<EndpointMetrics>>]>,
}

impl Route {
    pub(crate) fn register(
        scope: &Scope,
        name: &str,
        kind: &RouteKind,
    ) -> Result<Self, BuildError> {
        let methods = kind.methods.as_ref();
        let other = methods.map(|methods| ("method", methods.label(usize::MAX)));
        let endpoint = kind
            .register(scope, other.as_slice())
            .map_err(|source| BuildError::Register { endpoint: name.to_owned(), source })?;
        let by_method = methods.map(|methods| ByMethod {
            kind: kind.clone(),
            scope: scope.clone(),
            made: (1..methods.len()).map(|_| OnceLock::new()).collect(),
        });
        Ok(Self { endpoint, by_method, frontend: None, grpc: None })
    }

    pub(crate) fn with_frontend(self, frontend: Option<FrontendMetrics>, name: &str) -> Self {
        Self { frontend: frontend.map(|frontend| (frontend, name.into())), ..self }
    }

    pub(crate) fn with_grpc(
        self,
        scope: &Scope,
        name: &str,
        successes: &[GrpcCode],
    ) -> Result<Self, BuildError> {
        let grpc = GrpcMetrics::register(scope)
            .map_err(|source| BuildError::Register { endpoint: name.to_owned(), source })?;
        Ok(Self { grpc: Some(grpc.successes(successes.iter().copied())), ..self })
    }

    /// Where requests of `method` count.
    pub(crate) fn endpoint(&self, method: &Method) -> &EndpointMetrics {
        self.by_method.as_ref().and_then(|set| set.find(method)).unwrap_or(&self.endpoint)
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &EndpointMetrics> {
        let made = self.by_method.iter().flat_map(|set| &set.made);
        std::iter::once(&self.endpoint).chain(made.filter_map(|made| made.get()?.as_ref()))
    }
}

impl ByMethod {
    fn find(&self, method: &Method) -> Option<&EndpointMetrics> {
        let methods = self.kind.methods.as_ref()?;
        let index = methods.index(method);
        let make = || {
            let labels = [("method", methods.label(index))];
            self.kind.register(&self.scope, &labels).ok()
        };
        self.made.get(index)?.get_or_init(make).as_ref()
    }
}

/// An endpoint's name, as its label has it.
pub(crate) fn bent(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_")
}

impl RouteKinds {
    /// What the endpoint `name` is made by.
    pub(crate) fn of(&self, name: &str) -> RouteKind {
        let own = self.own.get(&bent(name)).cloned();
        let common = self.common.clone();
        RouteKind { options: own.unwrap_or(common.options), ..common }
    }
}

impl RouteKind {
    fn register(
        &self,
        scope: &Scope,
        labels: &[(&str, &str)],
    ) -> Result<EndpointMetrics, RegisterError> {
        let builder = EndpointMetrics::builder(scope).labels(labels).options(&self.options);
        if self.side == Side::Client { builder.upstream().register() } else { builder.register() }
    }
}
