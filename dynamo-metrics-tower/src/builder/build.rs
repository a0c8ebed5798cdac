//! What becomes of the choices: the endpoints are registered, and what cannot be is refused.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use dynamo_metrics::llm::stream::reader_of_method;

use super::{Choice, MetricsLayerBuilder};
use crate::error::BuildError;
use crate::layer::MetricsLayer;
#[cfg(feature = "axum")]
use crate::matched::Matched;
use crate::route::{Route, bent};
use crate::routes::{Routes, is_grpc};

/// The endpoint of requests that are no other's.
const UNMATCHED: &str = "unmatched";

/// The endpoint of gRPC requests for methods that nobody knows.
const OTHER_GRPC: &str = "_OTHER";

impl MetricsLayerBuilder {
    /// Registers every endpoint that is known by now.
    ///
    /// # Errors
    /// [`BuildError::Descriptor`] for bytes that are no file descriptor set; [`BuildError::Pattern`],
    /// [`BuildError::Nameless`] and [`BuildError::RepeatedPath`] for paths
    /// and names that cannot be; [`BuildError::NoEndpoint`] for options of an endpoint that there is
    /// not; [`BuildError::Register`] if a metric's name is taken.
    pub fn build(mut self) -> Result<MetricsLayer, BuildError> {
        let mut by_path = HashMap::default();
        let mut templates = matchit::Router::new();
        let mut routes = Vec::with_capacity(self.routes.len());
        for (path, choice) in std::mem::take(&mut self.routes) {
            let template = path.contains(['{', '}']);
            if !path.starts_with('/') || path.contains("/:") || path.contains("/*") {
                return Err(BuildError::Pattern(path));
            }
            let place = match by_path.entry(path) {
                Entry::Vacant(place) => place,
                Entry::Occupied(taken) => {
                    return Err(BuildError::RepeatedPath(taken.key().clone()));
                }
            };
            let path = place.key().clone();
            if template && templates.insert(path.clone(), routes.len()).is_err() {
                return Err(BuildError::Pattern(path));
            }
            place.insert(routes.len());
            routes.push(match choice {
                Choice::Excluded => None,
                Choice::Endpoint { name, frontend } => {
                    Some(self.endpoint(&name, &path)?.with_frontend(frontend, &name))
                }
            });
        }
        if self.bad_descriptor {
            return Err(BuildError::Descriptor);
        }
        let grpc = !self.grpc.is_empty();
        for (service, method, frontend) in std::mem::take(&mut self.grpc) {
            let (path, name) = (format!("/{service}/{method}"), format!("{service}_{method}"));
            let Entry::Vacant(place) = by_path.entry(path) else {
                return Err(BuildError::RepeatedPath(format!("/{service}/{method}")));
            };
            let route = self.endpoint(&name, place.key())?;
            place.insert(routes.len());
            // As the endpoint's own label has it.
            let route = route.with_frontend(frontend, &bent(&name));
            let scope = self.scope.endpoint(&name);
            routes.push(Some(route.with_grpc(&scope, &name, &self.grpc_successes)?));
        }
        let other_grpc = grpc.then(|| self.endpoint(OTHER_GRPC, OTHER_GRPC)).transpose()?;
        let mut by_authority = HashMap::default();
        for (authority, name) in std::mem::take(&mut self.upstreams) {
            let route = self.endpoint(&name, &authority)?;
            if by_authority.insert(authority.clone(), routes.len()).is_some() {
                return Err(BuildError::RepeatedPath(authority));
            }
            routes.push(Some(route));
        }
        let chosen = match self.chosen.take() {
            None => None,
            Some((choose, names)) => {
                let mut routes = Vec::with_capacity(names.len());
                for name in &names {
                    routes.push(self.endpoint(name, "a function's choice")?);
                }
                Some((choose, routes))
            }
        };
        let unmatched = if self.scope.is_endpoint() {
            self.named.insert(UNMATCHED.to_owned());
            Route::register(&self.scope, UNMATCHED, &self.kinds.of(UNMATCHED))?
        } else {
            self.endpoint(UNMATCHED, UNMATCHED)?
        };
        self.check_options()?;
        Ok(MetricsLayer(Arc::new(Routes {
            by_path,
            templates,
            given: routes,
            chosen,
            #[cfg(feature = "axum")]
            matched: self.matched.then(|| Matched::new(&self.scope, &self.kinds)),
            unmatched,
            other_grpc,
            side: self.kinds.common.side,
            by_authority,
            reader: self.reader,
        })))
    }

    /// Registers the endpoint `name` of `whom`.
    fn endpoint(&mut self, name: &str, whom: &str) -> Result<Route, BuildError> {
        let scope = self.scope.endpoint(name);
        if !scope.is_endpoint() {
            return Err(BuildError::Nameless(whom.to_owned()));
        }
        self.named.insert(bent(name));
        let mut kind = self.kinds.of(name);
        if reader_of_method(whom).is_some() {
            let method = whom.to_owned();
            kind.options = kind.options.last_reader(move |head| {
                is_grpc(&head.headers).then(|| reader_of_method(&method)).flatten()
            });
        }
        Route::register(&scope, name, &kind)
    }

    /// Options are given for endpoints that there are; axum's may come later.
    fn check_options(&self) -> Result<(), BuildError> {
        #[cfg(feature = "axum")]
        if self.matched {
            return Ok(());
        }
        let mut own = self.kinds.own.keys();
        match own.find(|&name| !self.named.contains(name)) {
            Some(name) => Err(BuildError::NoEndpoint(name.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use dynamo_metrics::registry::Registry;
    use http::Request;

    use super::*;

    #[test]
    fn paths_that_would_never_match_are_refused() {
        let scope = Registry::new().component("api");
        for path in ["/v1/:model", "/v1/*rest", "v1", "", "/v1/{", "/v1/{*rest}/more"] {
            let built = MetricsLayer::builder(&scope).route(path, "x").build();
            assert_eq!(built.err(), Some(BuildError::Pattern(path.into())));
        }
        let twice = MetricsLayer::builder(&scope).route("/a", "a").exclude("/a").build();
        assert_eq!(twice.err(), Some(BuildError::RepeatedPath("/a".into())));
        let nameless = MetricsLayer::builder(&scope).route("/a", "").build();
        assert_eq!(nameless.err(), Some(BuildError::Nameless("/a".into())));
        let bytes = MetricsLayer::builder(&scope).grpc_descriptor_set(b"\xff").build();
        assert_eq!(bytes.err(), Some(BuildError::Descriptor));
        let both = MetricsLayer::builder(&scope).route("/s.S/M", "m").grpc_service("s.S", ["M"]);
        assert_eq!(both.build().err(), Some(BuildError::RepeatedPath("/s.S/M".into())));
        let two = MetricsLayer::builder(&scope).route("/{a}", "a").route("/{b}", "b").build();
        assert_eq!(two.err(), Some(BuildError::Pattern("/{b}".into())));
    }

    #[test]
    fn an_exact_path_goes_before_a_choice_and_that_before_a_template() {
        let scope = Registry::new().component("api");
        let MetricsLayer(routes) = MetricsLayer::builder(&scope)
            .route("/models/{model}", "card")
            .route("/models/list", "list")
            .exclude("/internal/{*rest}")
            .choose(["chosen"], |head| match head.headers.get("x-choose")?.as_bytes() {
                b"0" => Some(0),
                b"1" => Some(1),
                b"none" => None,
                other => panic!("an odd choice: {other:?}"),
            })
            .build()
            .unwrap();
        let place = |path: &str, choice: &str| {
            let request = Request::get(path).header("x-choose", choice).body(()).unwrap();
            let found = routes.find(&request)?;
            let at = |route: &Option<Route>| route.as_ref().is_some_and(|r| std::ptr::eq(r, found));
            let chosen = &routes.chosen.as_ref().unwrap().1;
            Some(match routes.given.iter().position(at) {
                Some(0) => "card",
                Some(_) => "list",
                None if std::ptr::eq(found, &raw const chosen[0]) => "chosen",
                None => "unmatched",
            })
        };
        assert_eq!(place("/models/list", "0"), Some("list"));
        assert_eq!(place("/models/llama", "0"), Some("chosen"));
        for no_choice in ["none", "1", "panic"] {
            assert_eq!(place("/models/llama", no_choice), Some("card"));
            assert_eq!(place("/models/a/b", no_choice), Some("unmatched"));
            assert_eq!(place("/internal/a/b", no_choice), None);
        }
    }
}
