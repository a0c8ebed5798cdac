//! Which request is which endpoint's: sets that are closed when the layer is built, or by code.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use dynamo_metrics::llm::stream::ChooseReader;
use dynamo_metrics::llm::{EndpointMetrics, Side, UserFunction};
use foldhash::fast::RandomState;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};

use crate::head::RequestHead;
#[cfg(feature = "axum")]
use crate::matched::Matched;
use crate::route::Route;

/// Chooses one of the names of a closed set by a request's head.
pub(crate) type Choose = Arc<dyn Fn(&RequestHead<'_>) -> Option<usize> + Send + Sync>;

/// Every endpoint of a layer.
pub(crate) struct Routes {
    /// Where each path, and the text of each template, stands in `given`.
    pub(crate) by_path: HashMap<String, usize, RandomState>,
    /// The same of each upstream's authority.
    pub(crate) by_authority: HashMap<String, usize, RandomState>,
    pub(crate) templates: matchit::Router<usize>,
    pub(crate) given: Vec<Option<Route>>,
    pub(crate) chosen: Option<(Choose, Vec<Route>)>,
    #[cfg(feature = "axum")]
    pub(crate) matched: Option<Matched>,
    pub(crate) unmatched: Route,
    /// Where unknown gRPC methods go, if there are known ones.
    pub(crate) other_grpc: Option<Route>,
    pub(crate) side: Side,
    pub(crate) reader: Option<ChooseReader>,
}

impl Routes {
    /// The endpoint of `request`; `None` if it is excluded.
    pub(crate) fn find<B>(&self, request: &Request<B>) -> Option<&Route> {
        if !self.by_authority.is_empty()
            && let Some(authority) = request.uri().authority()
            && let Some(place) = self.by_authority.get(authority.as_str())
        {
            return self.given.get(*place).and_then(Option::as_ref);
        }
        let path = request.uri().path();
        let known = self.by_path.get(path).and_then(|place| self.given.get(*place));
        known.map_or_else(|| self.find_by_more(request, path), Option::as_ref)
    }

    /// The same, if the path is none of the known ones.
    fn find_by_more<B>(&self, request: &Request<B>, path: &str) -> Option<&Route> {
        if let Some((choose, routes)) = &self.chosen {
            let head = RequestHead::of(request);
            let chosen = UserFunction::Endpoint.ask(|| choose(&head));
            if let Some(route) = chosen.and_then(|index| routes.get(index)) {
                return Some(route);
            }
        }
        #[cfg(feature = "axum")]
        if let Some(matched) = &self.matched
            && let Some(template) = request.extensions().get::<axum::extract::MatchedPath>()
        {
            let template = template.as_str();
            let known = self.by_path.get(template).and_then(|place| self.given.get(*place));
            return match known {
                Some(route) => route.as_ref(),
                None => Some(matched.find(template).unwrap_or_else(|| self.other(request))),
            };
        }
        let template = self.templates.at(path).ok();
        let known = template.and_then(|found| self.given.get(*found.value));
        known.map_or_else(|| Some(self.other(request)), Option::as_ref)
    }

    /// The endpoint of requests that are no other's.
    fn other<B>(&self, request: &Request<B>) -> &Route {
        let grpc = self.other_grpc.as_ref().filter(|_| is_grpc(request.headers()));
        grpc.unwrap_or(&self.unmatched)
    }

    /// The metrics of every endpoint that there is by now.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &EndpointMetrics> {
        let chosen = self.chosen.iter().flat_map(|(_, routes)| routes);
        let routes = self.given.iter().flatten().chain(chosen).chain([&self.unmatched]);
        let routes = routes.chain(&self.other_grpc);
        #[cfg(feature = "axum")]
        let routes = routes.chain(self.matched.iter().flat_map(Matched::routes));
        routes.flat_map(Route::endpoints)
    }
}

/// Whether these are the headers of a call of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("by_path", &self.by_path).finish_non_exhaustive()
    }
}
