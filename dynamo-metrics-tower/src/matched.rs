//! Routes that axum matched: an endpoint for each template, made when it is first seen.

use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;

use dynamo_metrics::registry::Scope;
use foldhash::fast::RandomState;

use crate::route::{Route, RouteKinds};

/// Places for templates, and so the most of them. A router has tens.
const PLACES: usize = 1_024;

/// Endpoints by their template's text, and not by where that lies: nested routers put their
/// templates together for each request.
///
/// A template keeps the first free place after its hash's, for ever, so that whoever finds it waits
/// for nobody.
pub(crate) struct Matched {
    scope: Scope,
    kinds: RouteKinds,
    hasher: RandomState,
    places: Box<[OnceLock<Box<Entry>>]>,
}

struct Entry {
    template: Box<str>,
    /// `None` if it could not be registered.
    route: Option<Route>,
}

impl Matched {
    pub(crate) fn new(scope: &Scope, kinds: &RouteKinds) -> Self {
        Self {
            scope: scope.clone(),
            kinds: kinds.clone(),
            hasher: RandomState::default(),
            places: std::iter::repeat_with(OnceLock::new).take(PLACES).collect(),
        }
    }

    /// The endpoint of `template`; `None` if it can have none.
    pub(crate) fn find(&self, template: &str) -> Option<&Route> {
        // The lower bits of the hash, whatever the word is wide.
        #[allow(clippy::cast_possible_truncation)]
        let start = self.hasher.hash_one(template) as usize % PLACES;
        let (before, from) = self.places.split_at_checked(start)?;
        for place in from.iter().chain(before) {
            let entry = place.get_or_init(|| Box::new(self.make(template)));
            if *entry.template == *template {
                return entry.route.as_ref();
            }
        }
        None
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.places.iter().filter_map(|place| place.get()?.route.as_ref())
    }

    fn make(&self, template: &str) -> Entry {
        let name = name_of(template);
        let route = Route::register(&self.scope.endpoint(&name), &name, &self.kinds.of(&name));
        if let Err(error) = &route {
            tracing::error!(%error, template, "a route cannot be measured apart from others");
        }
        Entry { template: template.into(), route: route.ok() }
    }
}

impl fmt::Debug for Matched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let templates = self.places.iter().filter_map(|place| Some(&place.get()?.template));
        f.debug_set().entries(templates).finish()
    }
}

/// A template as an endpoint's name: its segments joined by `_`, with `by_` before a parameter.
fn name_of(template: &str) -> String {
    let mut name = String::with_capacity(template.len() + 8);
    for segment in template.split('/').filter(|segment| !segment.is_empty()) {
        if !name.is_empty() {
            name.push('_');
        }
        if segment.contains('{') {
            name.push_str("by_");
        }
        name.extend(segment.chars().filter(|c| !matches!(c, '{' | '}' | '*')));
    }
    if name.is_empty() { "root".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use dynamo_metrics::encode;
    use dynamo_metrics::registry::Registry;

    use super::*;

    #[test]
    fn templates_have_names_that_read() {
        for (template, name) in [
            ("/", "root"),
            ("/v1/chat/completions", "v1_chat_completions"),
            ("/v1/models/{model}", "v1_models_by_model"),
            ("/files/{*rest}", "files_by_rest"),
            ("/{a}/{b}/", "by_a_by_b"),
        ] {
            assert_eq!(name_of(template), name);
        }
    }

    #[test]
    fn a_template_is_registered_once() {
        let registry = Registry::new();
        let matched = Matched::new(&registry.component("api"), &RouteKinds::default());
        let route: *const Route = matched.find("/a").unwrap();
        assert!(std::ptr::eq(route, matched.find(&String::from("/a")).unwrap()));
        for i in 0..100 {
            assert!(matched.find(&format!("/b{}", i % 4)).is_some());
        }
        assert_eq!(matched.routes().count(), 5);
        assert!(encode::text(&registry).contains("dynamo_endpoint=\"b3\""));
    }

    #[test]
    fn the_table_has_an_end() {
        // Named alike, so that all are one endpoint.
        let template = |number| format!("/{}", "/".repeat(number));
        let matched = Matched::new(&Registry::new().component("api"), &RouteKinds::default());
        for number in 0..PLACES {
            assert!(matched.find(&template(number)).is_some());
        }
        assert!(matched.find(&template(PLACES)).is_none());
        assert!(matched.find(&template(PLACES - 1)).is_some());
        assert_eq!(matched.routes().count(), PLACES);
    }
}
