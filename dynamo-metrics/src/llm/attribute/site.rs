//! Where an attribute stands: what it chooses, and the endpoint that it counts for.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::fast::FixedState;

use super::Choices;
use crate::llm::call::Call;
use crate::llm::endpoint::{EndpointMetrics, Kept, PREFIX, WeakEndpoint};
use crate::metric::Info;
use crate::registry::{MetricSet, Place, Registry, Scope};

/// Most endpoints that an attribute remembers; others are looked up in the tree.
const MOST_REMEMBERED: usize = 32;

/// What is said of an endpoint in its code.
///
/// # Source
/// The doc comment of the function under `#[instrumented_endpoint]`, or its argument `help`.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = PREFIX)]
pub(in crate::llm) struct DescriptionSet {
    /// What an endpoint does.
    _endpoint_info: Info,
}

/// The endpoints that attributes use at one node of the tree; `None` for one that cannot be
/// registered.
#[derive(Debug, Default)]
pub(in crate::llm) struct Known {
    entries: ArcSwap<HashMap<u64, Vec<Entry>>>,
    /// Whether somebody said what the endpoint does.
    described: AtomicBool,
}

/// What is asked for, and what it came to.
type Entry = (OwnedWanted, Option<EndpointMetrics>);

/// What an attribute asks of a scope, as it comes.
struct Wanted<'a> {
    name: &'a str,
    prefix: Option<&'a str>,
    labels: &'a [(&'static str, &'a str)],
}

#[derive(Debug, Clone)]
struct OwnedWanted {
    name: Box<str>,
    prefix: Option<Box<str>>,
    labels: Vec<(Box<str>, Box<str>)>,
}

/// The scope of an attribute that names none, in a crate that has none for all.
#[must_use]
pub fn __dynamo_metrics_scope() -> &'static Scope {
    Registry::global()
}

/// Where an attribute stands, with the endpoints that it used: mostly those of the next calls too.
///
/// It keeps neither the registry nor the endpoints alive.
pub struct Site {
    name: &'static str,
    choices: Choices,
    memos: ArcSwapOption<Vec<Memo>>,
}

#[derive(Clone)]
struct Memo {
    place: Place,
    labels: Box<[(&'static str, Box<str>)]>,
    endpoint: WeakEndpoint,
}

impl Site {
    #[must_use]
    pub const fn new(name: &'static str, choices: Choices) -> Self {
        Self { name, choices, memos: ArcSwapOption::const_empty() }
    }

    /// The endpoint, if one of this scope and these labels was used and is still there.
    #[inline]
    fn recall(&self, scope: &Scope, labels: &[(&str, &str)]) -> Option<EndpointMetrics> {
        let memos = self.memos.load();
        memos.as_ref()?.iter().find(|memo| memo.is_of(scope, labels))?.recall()
    }

    /// Remembers an endpoint, if there is room for it.
    fn remember(&self, scope: &Scope, labels: &[(&'static str, &str)], endpoint: &EndpointMetrics) {
        let is_full = |memos: &Arc<Vec<Memo>>| {
            memos.len() == MOST_REMEMBERED && memos.iter().all(|memo| memo.recall().is_some())
        };
        if self.memos.load().as_ref().is_some_and(is_full) {
            return;
        }
        self.memos.rcu(|memos| {
            let memos = memos.iter().flat_map(|memos| memos.iter());
            // What was removed may be remembered for a while, and whoever raced has the same.
            let there = memos.filter(|it| !it.is_of(scope, labels) && it.recall().is_some());
            let mut memos: Vec<Memo> = there.take(MOST_REMEMBERED).cloned().collect();
            if memos.len() < MOST_REMEMBERED {
                let labels = labels.iter().map(|(name, value)| (*name, (*value).into())).collect();
                let endpoint = endpoint.downgrade();
                memos.push(Memo { place: scope.place(), labels, endpoint });
            }
            Some(Arc::new(memos))
        });
    }
}

impl Memo {
    #[inline]
    fn is_of(&self, scope: &Scope, labels: &[(&str, &str)]) -> bool {
        let told = self.labels.iter().map(|(_, value)| &**value);
        scope.is_at(&self.place) && told.eq(labels.iter().map(|(_, value)| *value))
    }

    #[inline]
    fn recall(&self) -> Option<EndpointMetrics> {
        self.endpoint.upgrade().filter(EndpointMetrics::is_shown)
    }
}

/// A call begins. An endpoint that cannot be registered is logged once, and not measured.
#[must_use]
pub fn start(site: &Site, scope: &Scope, labels: &[(&'static str, &str)]) -> Call {
    if let Some(endpoint) = site.recall(scope, labels) {
        return Call::start_as(endpoint, site.choices.terms);
    }
    site.start_anew(scope, labels)
}

impl Site {
    #[cold]
    fn start_anew(&self, scope: &Scope, labels: &[(&'static str, &str)]) -> Call {
        let (name, choices) = (self.name, &self.choices);
        // Kept at the endpoint's own place, and gone with it.
        let place = if scope.is_endpoint() { scope.clone() } else { scope.endpoint(name) };
        let Some(Kept { known, .. }) = place.slot() else { return Call::unmeasured() };
        let wanted = Wanted { name, prefix: scope.prefix(), labels };
        let Some(endpoint) = known.endpoint(&wanted, || register(&place, name, labels, choices))
        else {
            return Call::unmeasured();
        };
        known.describe(&place, choices.help);
        self.remember(scope, labels, &endpoint);
        Call::start_as(endpoint, choices.terms)
    }
}

impl Known {
    /// The endpoint of an attribute, made if it is new; `None` if it cannot be registered.
    fn endpoint(
        &self,
        wanted: &Wanted<'_>,
        register: impl Fn() -> Option<EndpointMetrics>,
    ) -> Option<EndpointMetrics> {
        let hash = wanted.hash();
        let find = |known: &HashMap<u64, Vec<Entry>>| {
            let mut known = known.get(&hash)?.iter();
            known.find(|(known, _)| wanted.is(known)).map(|(_, endpoint)| endpoint.clone())
        };
        if let Some(endpoint) = find(&self.entries.load()) {
            return endpoint;
        }
        let made = register();
        self.entries.rcu(|known| {
            let mut known = HashMap::clone(known);
            // Who was faster registered the same.
            if find(&known).flatten().is_none() {
                let entries = known.entry(hash).or_default();
                entries.retain(|(known, _)| !wanted.is(known));
                entries.push((wanted.to_owned(), made.clone()));
            }
            known
        });
        find(&self.entries.load()).flatten()
    }

    /// Shows what the endpoint does; who says it first has the word.
    fn describe(&self, place: &Scope, help: &str) {
        if help.is_empty() || self.described.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = DescriptionSet::register_with(place, &[("help", help)]) {
            let error: &dyn std::error::Error = &error;
            tracing::error!(help, error, "an endpoint cannot be described");
        }
    }
}

fn register(
    place: &Scope,
    name: &str,
    labels: &[(&str, &str)],
    choices: &Choices,
) -> Option<EndpointMetrics> {
    match choices.register(place, labels) {
        Ok(metrics) => Some(metrics),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(endpoint = name, error, "an endpoint cannot be measured");
            None
        }
    }
}

impl Wanted<'_> {
    fn to_owned(&self) -> OwnedWanted {
        OwnedWanted {
            name: self.name.into(),
            prefix: self.prefix.map(Into::into),
            labels: self.labels.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
        }
    }

    fn hash(&self) -> u64 {
        FixedState::default().hash_one((self.name, self.prefix, self.labels))
    }

    fn is(&self, known: &OwnedWanted) -> bool {
        let labels = known.labels.iter().map(|(name, value)| (&**name, &**value));
        self.name == &*known.name
            && self.prefix == known.prefix.as_deref()
            && self.labels.iter().copied().eq(labels)
    }
}
