//! The tree: scopes, what is registered in them, and the walk that shows it all.
//!
//! A [`Registry`] is the root. [`Scope::namespace`], [`Scope::component`] and [`Scope::endpoint`] lead
//! down from it. In a scope, `counter`, `gauge`, `histogram` and the others start a
//! [`MetricBuilder`], which ends in
//!
//! - [`register`](MetricBuilder::register): one metric;
//! - [`family`](MetricBuilder::family): one for each set of labels of a type
//!   ([`LabelSet`](crate::label::LabelSet));
//! - [`each`](MetricBuilder::each): an array of one for each value of an enum;
//! - [`dynamic_family`](MetricBuilder::dynamic_family): one for each set of label values that come as
//!   text, capped;
//! - [`lazy`](MetricBuilder::lazy): one metric, which is shown once it is used.
//!
//! Metrics that belong together are a [`MetricSet`]: a struct that derives how it is registered, and
//! what there is to say of it ([`catalogue`]).

mod any;
mod below;
mod builder;
pub mod catalogue;
mod choices;
mod error;
mod errors;
mod families;
mod family;
#[cfg(all(test, not(dynamo_metrics_loom)))]
mod family_tests;
mod field;
mod gather;
mod group;
mod index;
mod lazy;
mod list;
mod merge;
#[cfg(all(test, dynamo_metrics_loom))]
mod model;
mod node;
mod own;
mod scope;
mod set;
mod shown;
mod source;
#[cfg(all(test, not(dynamo_metrics_loom)))]
mod tests;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use dynamo_metrics_macros::MetricSet;

pub use builder::MetricBuilder;
pub use error::RegisterError;
pub(crate) use families::OpenFamily;
pub use families::{DynamicFamily, Family};
pub use field::MetricField;
#[doc(hidden)]
pub use field::{ByEnum, ByName, HasExemplars, IntoBuckets, IntoNative, LetsGo, Samples};
pub(crate) use gather::Walk;
pub use lazy::Lazy;
pub(crate) use merge::Told;
pub(crate) use own::SETS;
pub(crate) use scope::Place;
pub use scope::Scope;
pub use set::MetricSet;
#[doc(hidden)]
pub use set::{bounds, bounds_fault, default_native, enter, fits, has_labels, native, share_names};
pub use source::CollectorHandle;
#[cfg(any(feature = "exporter", feature = "gpu"))]
pub(crate) use source::message as panic_message;
pub(crate) use source::{Answer, Ask, Asked, Failure, SameLabel, SourceKind, Trouble};
#[cfg(feature = "exporter")]
pub(crate) use source::{Later, Source};

use crate::metric::visit::Visitor;
use node::Tree;

/// Series that a family holds before label values read `_overflow`.
const SERIES_CAP: u64 = 2_000;

/// The root of a tree of metrics: the runtime's level.
///
/// A registry is a cheap handle, and derefs to its root [`Scope`]. It is passed by value; nothing
/// is global but [`Registry::global`], which is there for those who want it.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// registry.gauge("models_loaded", "Models in memory.").register()?.set(3);
/// assert!(encode::text(&registry).ends_with("models_loaded 3\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Registry(Scope);

/// The choices of a [`Registry`].
#[derive(Debug, Clone)]
pub struct RegistryBuilder {
    worker_id: Option<u64>,
    series_cap: u64,
}

impl Registry {
    /// Makes an empty registry with the default choices.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Makes a registry with other choices.
    #[must_use]
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder { worker_id: None, series_cap: SERIES_CAP }
    }

    /// The registry of the whole process, made when it is first asked for.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Registry> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// Shows every family to `visitor` in the order of names, each once, with its series.
    ///
    /// Update callbacks and collectors run first, here, however long they take; whose answer has to
    /// be waited for (asynchronous collectors, backends), only the exporter asks. Series are shown as
    /// they are at the time of their visit; nobody who records or registers waits for the walk, nor
    /// the walk for them.
    pub fn gather(&self, visitor: &mut impl Visitor) {
        let mut walk = self.walk();
        while walk.step(visitor, usize::MAX) {}
    }

    /// The sets that were registered anywhere in the tree, each under each prefix once, in the order
    /// in which they came.
    #[must_use]
    pub fn catalogue(&self) -> Vec<catalogue::Listed> {
        self.0.tree.sets()
    }

    /// A walk after asking those who answer at once.
    pub(crate) fn walk(&self) -> Walk {
        let asked = self.asked();
        self.refresh(&asked);
        self.walk_with(gather::ask_now(&asked))
    }

    /// A walk over what there is, and what others told.
    pub(crate) fn walk_with(&self, told: Vec<Told>) -> Walk {
        Walk::new(&self.0, told)
    }

    /// All that is asked before a gather.
    pub(crate) fn asked(&self) -> Vec<Arc<Asked>> {
        self.0.asked()
    }

    /// Counts update callbacks that did not end in time.
    #[cfg(feature = "exporter")]
    pub(crate) fn count_late_callback(&self) {
        let text = "an update callback did not end in time".to_owned();
        let trouble = Trouble { reason: "timeout", count: 1, text };
        self.0.tree.collect_errors.count("update_callback", &[], trouble);
    }

    /// What exporters of this registry have in common.
    #[cfg(feature = "exporter")]
    pub(crate) fn in_common<T: std::any::Any + Default + Send + Sync>(&self) -> Arc<T> {
        let common = self.0.tree.in_common.get_or_init(|| Arc::new(T::default()));
        Arc::clone(common).downcast().unwrap_or_default()
    }

    /// Runs those of `asked` that refresh values of ours.
    pub(crate) fn refresh(&self, asked: &[Arc<Asked>]) {
        gather::refresh(&self.0.tree, asked);
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Registry {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.0
    }
}

impl RegistryBuilder {
    /// Adds `worker_id`, in lower-case hexadecimal as Dynamo writes it, to every series (default:
    /// no such label).
    #[must_use]
    pub fn worker_id(mut self, worker_id: u64) -> Self {
        self.worker_id = Some(worker_id);
        self
    }

    /// Limits the series of one exposed name whose label values come at run time, whatever scopes
    /// their [`DynamicFamily`]s are of (default: 2 000).
    #[must_use]
    pub fn series_cap(mut self, series_cap: u64) -> Self {
        self.series_cap = series_cap;
        self
    }

    /// Makes the registry.
    #[must_use]
    pub fn build(self) -> Registry {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Registry(Scope::root(Tree::new(number, self.worker_id, self.series_cap)))
    }
}
