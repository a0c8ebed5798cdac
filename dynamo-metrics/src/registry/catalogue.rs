//! Catalogues: what sets measure, told without recording anything.
//!
//! `#[derive(MetricSet)]` writes a [`SetInfo`] for each set. Its metrics are registered by it, so
//! that what it says of them and what is exposed cannot differ. [`Registry::catalogue`] lists the
//! sets that were registered, with the names that they have there.
//!
//! [`Registry::catalogue`]: super::Registry::catalogue
//!
//! # Examples
//! ```
//! use dynamo_metrics::metric::{Counter, Histogram};
//! use dynamo_metrics::registry::{MetricSet, Registry};
//!
//! /// A store of pages.
//! #[derive(MetricSet)]
//! #[metric_set(prefix = "store")]
//! struct Store {
//!     /// Pages read.
//!     #[metric(name = "pages_read_total")]
//!     read: Counter,
//!     /// Time that a read took.
//!     #[metric(unit = seconds, buckets = [0.01, 0.1, 1])]
//!     read_seconds: Histogram,
//! }
//!
//! assert_eq!(Store::INFO.help, "A store of pages.");
//! assert_eq!(Store::INFO.metrics[1].bounds().unwrap()?.bounds(), [0.01, 0.1, 1.0]);
//!
//! let registry = Registry::new();
//! Store::register(&registry)?;
//! let listed = registry.catalogue();
//! let names: Vec<String> = listed[0].metrics().map(|(name, _)| name).collect();
//! assert_eq!(names, ["store_pages_read_total", "store_read_seconds"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use super::MetricSet;
use super::field::{ByEnum, ByName, HasExemplars, LetsGo, MetricField, Samples};
use crate::label::LabelInfo;
use crate::metric::{Buckets, BucketsError, MetricKind, NativeBuckets};
use crate::name::{metric_name, prefixed};
use crate::unit::Unit;

/// What there is to say of a set.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SetInfo {
    /// The name of its type.
    pub name: &'static str,
    /// The module of its type.
    pub module: &'static str,
    /// What it measures, for people.
    pub help: &'static str,
    /// Where its values are taken, if it says so; for metrics that do not.
    pub source: &'static str,
    /// What its names start with, unless it is registered where there is another prefix.
    pub prefix: Option<&'static str>,
    /// They start with it wherever it is registered.
    pub prefix_is_fixed: bool,
    /// Its metrics, in the order of its fields.
    pub metrics: &'static [MetricInfo],
    /// The sets within it, which are registered with it and have its prefix.
    pub sets: &'static [&'static SetInfo],
}

/// What there is to say of a metric of a set.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MetricInfo {
    /// The name, without what the set is registered under.
    pub name: &'static str,
    /// Other names of the same values.
    pub aliases: &'static [&'static str],
    /// What it is.
    pub kind: MetricKind,
    /// Which series it has.
    pub form: Form,
    /// The unit.
    pub unit: Option<Unit>,
    /// What it says, for people.
    pub help: &'static str,
    /// Where its value is taken; empty if the set says that for all of it, or nobody does.
    pub source: &'static str,
    /// Labels whose values do not change.
    pub constants: &'static [(&'static str, &'static str)],
    /// Labels that tell its series apart.
    pub labels: &'static [LabelInfo],
    /// The states of a state set, which are values of a label named as the metric.
    pub states: &'static [&'static str],
    /// What makes the buckets of a histogram that has not the default ones.
    pub buckets: Option<fn() -> Result<Buckets, BucketsError>>,
    /// What makes its native buckets, if it has some.
    pub native: Option<fn() -> Result<NativeBuckets, BucketsError>>,
    /// Whether it keeps exemplars.
    pub exemplars: bool,
    /// Series go that nobody recorded to for so long.
    pub time_to_live: Option<Duration>,
    /// The most series that it has, if it has a cap of its own.
    pub series_cap: Option<u64>,
    /// Whether its label `worker_id` tells other workers apart, and the registry's own is not there.
    pub of_workers: bool,
}

/// Which series a metric of a set has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// One, which is there at once.
    Single,
    /// One, which is there once it is used.
    Lazy,
    /// One for each value of a label, all of which are there at once.
    Each,
    /// One for each set of labels of a type, once it is used.
    Family,
    /// One for each set of labels that come as text, once it is used; capped.
    DynamicFamily,
}

/// A set of ours, as it is known without any registry.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    info: &'static SetInfo,
    prefixes: &'static [&'static str],
    more: &'static [LabelInfo],
}

/// A set under some prefix.
#[derive(Debug, Clone)]
pub struct Listed {
    info: &'static SetInfo,
    prefix: Box<str>,
}

impl SetInfo {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str, module: &'static str, help: &'static str) -> Self {
        Self {
            name,
            module,
            help,
            source: "",
            prefix: None,
            prefix_is_fixed: false,
            metrics: &[],
            sets: &[],
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn prefix(mut self, prefix: &'static str, is_fixed: bool) -> Self {
        (self.prefix, self.prefix_is_fixed) = (Some(prefix), is_fixed);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn metrics(mut self, metrics: &'static [MetricInfo]) -> Self {
        self.metrics = metrics;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn sets(mut self, sets: &'static [&'static Self]) -> Self {
        self.sets = sets;
        self
    }

    /// The set and all sets within it, each before those within it.
    #[must_use]
    pub fn all(&'static self) -> Vec<&'static Self> {
        let within = self.sets.iter().flat_map(|set| set.all());
        std::iter::once(self).chain(within).collect()
    }
}

impl MetricInfo {
    /// What the type of a field says.
    pub(crate) const fn of<F: MetricField>() -> Self {
        Self {
            name: "",
            aliases: &[],
            kind: F::KIND,
            form: F::FORM,
            unit: None,
            help: "",
            source: "",
            constants: &[],
            labels: F::LABELS,
            states: F::STATES,
            buckets: None,
            native: None,
            exemplars: false,
            time_to_live: None,
            series_cap: None,
            of_workers: false,
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn named(mut self, name: &'static str, help: &'static str) -> Self {
        (self.name, self.help) = (name, help);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn source(mut self, source: &'static str) -> Self {
        self.source = source;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn constants(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        self.constants = labels;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn each<F: ByEnum>(mut self, labels: &'static [LabelInfo]) -> Self {
        self.labels = labels;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn names<F: ByName>(mut self, labels: &'static [LabelInfo]) -> Self {
        self.labels = labels;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn buckets<F: MetricField<Metric: Samples>>(
        mut self,
        buckets: fn() -> Result<Buckets, BucketsError>,
    ) -> Self {
        self.buckets = Some(buckets);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn native<F: MetricField<Metric: Samples>>(
        mut self,
        buckets: fn() -> Result<NativeBuckets, BucketsError>,
    ) -> Self {
        self.native = Some(buckets);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn exemplars<F: MetricField<Metric: HasExemplars>>(mut self) -> Self {
        self.exemplars = true;
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn time_to_live<F: LetsGo>(mut self, life: Duration) -> Self {
        self.time_to_live = Some(life);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn series_cap<F: ByName>(mut self, series_cap: u64) -> Self {
        self.series_cap = Some(series_cap);
        self
    }

    #[doc(hidden)]
    #[must_use]
    pub const fn of_workers<F: ByName>(mut self) -> Self {
        self.of_workers = true;
        self
    }

    /// The buckets, native ones included, if it is a histogram; or why there are none.
    #[must_use]
    pub fn bounds(&self) -> Option<Result<Buckets, BucketsError>> {
        let made = || {
            let buckets = self.buckets.map_or_else(|| Ok(Buckets::default()), |make| make())?;
            let native = self.native.map(|make| make()).transpose()?;
            Ok(native.map_or(buckets.clone(), |native| buckets.with_native(native)))
        };
        (self.kind == MetricKind::Histogram).then(made)
    }

    /// The names of all labels that its series have besides the scope's.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        let constants = self.constants.iter().map(|(name, _)| *name);
        constants.chain(self.labels.iter().map(|label| label.name))
    }
}

impl Known {
    /// The set `S`, with its sets within, under its own prefix.
    #[must_use]
    pub(crate) const fn of<S: MetricSet>() -> Self {
        Self { info: S::INFO, prefixes: &[], more: &[] }
    }

    /// A set that is no type of its own.
    #[must_use]
    pub(crate) const fn set(info: &'static SetInfo) -> Self {
        Self { info, prefixes: &[], more: &[] }
    }

    /// The same, under these prefixes.
    #[must_use]
    pub(crate) const fn under(mut self, prefixes: &'static [&'static str]) -> Self {
        self.prefixes = prefixes;
        self
    }

    /// The same, whose series have these labels as well where its user says so.
    #[must_use]
    pub(crate) const fn with(mut self, more: &'static [LabelInfo]) -> Self {
        self.more = more;
        self
    }

    /// Labels that its series have where its user says so.
    #[must_use]
    pub const fn more_labels(&self) -> &'static [LabelInfo] {
        self.more
    }

    /// The set and all sets within it, each under each prefix that it has.
    pub fn listed(self) -> impl Iterator<Item = Listed> {
        let own = self.info.prefix.unwrap_or_default();
        let prefixes = if self.prefixes.is_empty() { vec![own] } else { self.prefixes.to_vec() };
        let sets = self.info.all();
        prefixes.into_iter().flat_map(move |prefix| {
            let sets = sets.clone();
            sets.into_iter().map(move |info| match info.prefix {
                Some(own) if info.prefix_is_fixed => Listed::new(info, own),
                _ => Listed::new(info, prefix),
            })
        })
    }
}

impl Listed {
    pub(super) fn new(info: &'static SetInfo, prefix: &str) -> Self {
        Self { info, prefix: prefix.into() }
    }

    /// What there is to say of the set.
    #[must_use]
    pub fn info(&self) -> &'static SetInfo {
        self.info
    }

    /// What its names start with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Its own metrics, with the names under which they are exposed.
    pub fn metrics(&self) -> impl Iterator<Item = (String, &'static MetricInfo)> {
        self.info.metrics.iter().map(|metric| (self.exposed(metric.name), metric))
    }

    /// The name under which `name` is exposed.
    #[must_use]
    pub fn exposed(&self, name: &str) -> String {
        prefixed(&self.prefix, &metric_name(name).unwrap_or_default())
    }
}

impl PartialEq for Listed {
    /// Whether both are one type under one prefix.
    fn eq(&self, other: &Self) -> bool {
        let of = |listed: &Self| (listed.info.name, listed.info.module);
        of(self) == of(other) && self.prefix == other.prefix
    }
}
