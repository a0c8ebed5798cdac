//! Registering: a small builder for each metric, and the families it makes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::error::RegisterError;
use super::index::{Wanted, base};
use super::scope::Scope;
use super::series::{FamilyCore, Group};
use crate::cell::TooManyColumns;
use crate::label::LabelSet;
use crate::metric::{Buckets, BucketsError, Histogram, Metric};
use crate::name::{LabelNameError, check_label, metric_name};
use crate::unit::Unit;

/// A metric on its way into a [`Scope`]; nothing is checked before it is registered.
///
/// Registering the same thing twice gives the same metric.
#[derive(Debug)]
#[must_use = "nothing is registered until `register`, `family` or `dynamic_family` is called"]
pub struct MetricBuilder<M> {
    scope: Scope,
    name: String,
    help: String,
    unit: Option<Unit>,
    labels: Vec<(String, String)>,
    aliases: Vec<String>,
    buckets: Option<Result<Buckets, BucketsError>>,
    metric: PhantomData<fn() -> M>,
}

/// Metrics of one name that differ in a typed set of labels.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{LabelSet, LabelValue};
/// use dynamo_metrics::registry::{Family, Registry};
/// use dynamo_metrics::metric::Counter;
///
/// #[derive(Clone, PartialEq, Eq, Hash, LabelValue)]
/// enum Tier { Free, Paid }
/// #[derive(Clone, PartialEq, Eq, Hash, LabelSet)]
/// struct Plan { tier: Tier }
///
/// let registry = Registry::new();
/// let calls: Family<Plan, Counter> = registry.counter("calls_total", "Calls.").family()?;
/// calls.with(&Plan { tier: Tier::Paid }).inc();
/// assert_eq!(calls.with(&Plan { tier: Tier::Paid }).get(), 1);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
pub struct Family<L, M> {
    core: Arc<FamilyCore>,
    group: Arc<Group>,
    types: PhantomData<fn(L) -> M>,
}

/// Metrics of one name that differ in `N` labels whose values are text.
///
/// A family holds a bounded number of series (2 000 unless the registry says otherwise). Past
/// that, label values read `_overflow`, and `dynamo_metrics_series_overflow_total` counts how
/// often.
///
/// # Examples
/// ```
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let loads = registry.counter("loads_total", "Loads.").dynamic_family(["model", "device"])?;
/// loads.with(["llama", "gpu0"]).inc();
/// assert_eq!(loads.with(["llama", "gpu0"]).get(), 1);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
pub struct DynamicFamily<M, const N: usize> {
    core: Arc<FamilyCore>,
    group: Arc<Group>,
    types: PhantomData<fn() -> M>,
}

impl<M: Metric> MetricBuilder<M> {
    pub(super) fn new(scope: &Scope, name: &str, help: &str) -> Self {
        Self {
            scope: scope.clone(),
            name: name.to_owned(),
            help: help.to_owned(),
            unit: None,
            labels: Vec::new(),
            aliases: Vec::new(),
            buckets: None,
            metric: PhantomData,
        }
    }

    /// Declares the unit (default: none); the name must end in it, before `_total`.
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Adds a label with a value that does not change.
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, for several of them.
    pub(crate) fn labels(self, labels: &[(&str, &str)]) -> Self {
        labels.iter().fold(self, |builder, (name, value)| builder.label(name, value))
    }

    /// Shows the same values under a second name as well, for readers that know the old one.
    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    /// Registers one metric.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn register(self) -> Result<M, RegisterError> {
        let (core, group) = self.group(&[], false)?;
        let made = group.with(&core, &[], |metric| (metric.clone(), M::from_any(metric)));
        let (any, metric) = made.map_err(|TooManyColumns| RegisterError::TooManyColumns)?;
        // An alias may be a series that is there already, and that must be this one.
        match group.aliases().iter().find(|alias| !group.shows(alias, &any)) {
            None => Ok(metric),
            Some(alias) => Err(RegisterError::OtherAliases { name: alias.name.to_string() }),
        }
    }

    /// Registers a family with the labels of `L`.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn family<L: LabelSet>(self) -> Result<Family<L, M>, RegisterError> {
        let (core, group) = self.group(L::NAMES, false)?;
        Ok(Family { core, group, types: PhantomData })
    }

    /// Registers a family with labels of these names.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn dynamic_family<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<DynamicFamily<M, N>, RegisterError> {
        let (core, group) = self.group(&names, true)?;
        Ok(DynamicFamily { core, group, types: PhantomData })
    }

    fn group(
        self,
        names: &[&str],
        open: bool,
    ) -> Result<(Arc<FamilyCore>, Arc<Group>), RegisterError> {
        let given = self.labels.iter().map(|(name, _)| name.as_str());
        let given: Vec<&str> = given.chain(names.iter().copied()).collect();
        for (i, name) in given.iter().enumerate() {
            check_label(name)?;
            if given[..i].contains(name) {
                return Err(LabelNameError::Repeated((*name).to_owned()).into());
            }
        }
        let buckets = match self.buckets.clone() {
            Some(buckets) => buckets?,
            None => Buckets::default(),
        };
        let core = self.family_named(&self.name)?;
        let aliases: Result<Box<[_]>, _> =
            self.aliases.iter().map(|name| self.family_named(name)).collect();
        let aliases = aliases?;
        // A name is one family's, so that names say whether the families are the same.
        let alias_names: Vec<_> = aliases.iter().map(|alias| alias.name.clone()).collect();

        let fixed: Box<[(Box<str>, Box<str>)]> = self
            .scope
            .labels()
            .chain(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        // An open set and a closed one of the same names are not one group: only one is capped.
        let mut key = String::from(if open { "open," } else { "closed," });
        for (name, value) in &fixed {
            // A value's length keeps one pair from reading as two.
            for piece in [name, "=", itoa::Buffer::new().format(value.len()), ":", value, ","] {
                key.push_str(piece);
            }
        }
        key.push_str(&names.join(","));

        let group = core.group(key.into(), || {
            let names = names.iter().map(|&name| name.into()).collect();
            Group::new(fixed, names, open, buckets.clone(), aliases)
        });
        if *group.buckets() != buckets {
            return Err(RegisterError::OtherBuckets { name: core.name.to_string() });
        }
        if !group.aliases().iter().map(|alias| &alias.name).eq(&alias_names) {
            return Err(RegisterError::OtherAliases { name: core.name.to_string() });
        }
        Ok((core, group))
    }

    fn family_named(&self, name: &str) -> Result<Arc<FamilyCore>, RegisterError> {
        let name = self.scope.exposed(&metric_name(name)?);
        // A counter's name is told without its `_total`, and something must be left to tell.
        metric_name(base(&name, M::TYPE))?;
        if let Some(unit) = self.unit {
            let bare = base(&name, M::TYPE);
            if !bare.strip_suffix(unit.as_str()).is_some_and(|rest| rest.ends_with('_')) {
                return Err(RegisterError::UnitSuffix { name, unit });
            }
        }
        self.scope.tree.index.family(&Wanted {
            name: &name,
            help: &self.help,
            unit: self.unit,
            metric_type: M::TYPE,
            cap: self.scope.tree.series_cap,
        })
    }
}

impl MetricBuilder<Histogram> {
    /// The buckets' upper bounds (default: 5 ms to 10 s); `+Inf` is always there.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.buckets = Some(Buckets::new(bounds));
        self
    }
}

impl<L: LabelSet, M: Metric> Family<L, M> {
    /// The metric of these labels, made if it is new.
    #[must_use]
    pub fn with(&self, labels: &L) -> M {
        labels.values(|values| resolve(&self.core, &self.group, values))
    }

    /// Calls `record` with the metric of these labels, made if it is new.
    ///
    /// # Cost
    /// A look-up without locks; unlike [`with`](Self::with) it touches no reference count.
    pub fn with_ref(&self, labels: &L, record: impl FnOnce(&M)) {
        labels.values(|values| resolve_ref(&self.core, &self.group, values, record));
    }
}

impl<M: Metric, const N: usize> DynamicFamily<M, N> {
    /// The metric of these label values, given in the order of the names, made if it is new.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> M {
        resolve(&self.core, &self.group, &values)
    }

    /// Calls `record` with the metric of these label values, made if it is new.
    ///
    /// # Cost
    /// A look-up without locks; unlike [`with`](Self::with) it touches no reference count.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let registry = Registry::new();
    /// let loads = registry.counter("loads_total", "Loads.").dynamic_family(["model"])?;
    /// loads.with_ref(["llama"], |loads| loads.inc());
    /// assert_eq!(loads.with(["llama"]).get(), 1);
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn with_ref(&self, values: [&str; N], record: impl FnOnce(&M)) {
        resolve_ref(&self.core, &self.group, &values, record);
    }
}

fn resolve<M: Metric>(core: &FamilyCore, group: &Group, values: &[&str]) -> M {
    group.with(core, values, M::from_any).unwrap_or_else(|TooManyColumns| {
        // There is no place for its value; that it is not there shows as overflow.
        core.health.overflow.inc();
        M::lost()
    })
}

fn resolve_ref<M: Metric>(
    core: &FamilyCore,
    group: &Group,
    values: &[&str],
    record: impl FnOnce(&M),
) {
    let found = group.with(core, values, |metric| M::peek(metric).map(record));
    if let Err(TooManyColumns) = found {
        core.health.overflow.inc();
    }
}

impl<L, M> Clone for Family<L, M> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), group: self.group.clone(), types: PhantomData }
    }
}

impl<M, const N: usize> Clone for DynamicFamily<M, N> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), group: self.group.clone(), types: PhantomData }
    }
}

impl<L, M> fmt::Debug for Family<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.core.name).finish_non_exhaustive()
    }
}

impl<M, const N: usize> fmt::Debug for DynamicFamily<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicFamily").field("name", &self.core.name).finish_non_exhaustive()
    }
}
