//! Registering: a small builder for each metric, and the families it makes.

use std::marker::PhantomData;
use std::sync::Arc;

use std::time::Duration;

use super::catalogue::MetricInfo;
use super::error::RegisterError;
use super::families::{DynamicFamily, Family, OpenFamily};
use super::family::{Closed, FamilyCore, is};
use super::group::{Choices, Group};
use super::index::{Index, Wanted};
use super::lazy::Lazy;
use super::node::Registered;
use super::scope::Scope;
use crate::cell::TooManyColumns;
use crate::label::{LabelSet, LabelValue, Template};
use crate::metric::{Buckets, BucketsError, Metric, MetricKind, MetricType, NativeBuckets, Plan};
use crate::name::{LabelNameError, WORKER_ID, check_label, metric_name};
use crate::sync::with_maps;
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
    pub(super) buckets: Option<Result<Buckets, BucketsError>>,
    pub(super) native: Option<NativeBuckets>,
    pub(super) exemplars: bool,
    time_to_live: Option<Duration>,
    series_cap: Option<u64>,
    of_workers: bool,
    metric: PhantomData<fn() -> M>,
}

/// A family with the group that a registration made in it.
type Place<M> = (Arc<FamilyCore<M>>, Arc<Group<M>>);

/// What goes with the scope that it was registered in.
#[derive(Debug)]
struct Entry<M: Metric> {
    family: Arc<FamilyCore<M>>,
    group: Arc<Group<M>>,
    key: Box<str>,
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
            native: None,
            exemplars: false,
            time_to_live: None,
            series_cap: None,
            of_workers: false,
            metric: PhantomData,
        }
    }

    /// What a set says of one of its metrics.
    pub(super) fn of(scope: &Scope, info: &MetricInfo) -> Result<Self, RegisterError> {
        let native = info.native.map(|buckets| buckets()).transpose()?;
        let (unit, time_to_live, series_cap) = (info.unit, info.time_to_live, info.series_cap);
        Ok(Self {
            unit,
            labels: Vec::new(),
            aliases: info.aliases.iter().map(|&alias| alias.to_owned()).collect(),
            buckets: scope
                .buckets_of(info.name)
                .map(|other| Ok(other.clone()))
                .or_else(|| info.buckets.map(|buckets| buckets())),
            native,
            exemplars: info.exemplars || (scope.exemplars && info.kind == MetricKind::Histogram),
            time_to_live,
            series_cap,
            of_workers: info.of_workers,
            ..Self::new(scope, info.name, info.help)
        })
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
    ///
    /// Whoever registers that name itself, with the same labels, gets the same metric.
    pub fn alias(mut self, name: &str) -> Self {
        self.aliases.push(name.to_owned());
        self
    }

    /// Removes series that nobody recorded to for this long (default: they stay).
    ///
    /// Whether somebody did is looked at when the registry is gathered, so that recording costs
    /// nothing more: a value that is what it was at the gather before counts as untouched (a gauge
    /// that was set does not). A series stays for as long as somebody holds a handle of it.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let registry = Registry::new();
    /// let sessions = registry
    ///     .counter("session_tokens_total", "Tokens of a session.")
    ///     .time_to_live(Duration::from_secs(600))
    ///     .dynamic_family(["session"])?;
    /// sessions.with_ref(["a3f"], |tokens| tokens.inc());
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn time_to_live(mut self, life: Duration) -> Self {
        self.time_to_live = Some(life);
        self
    }

    /// Limits the series of this exposed name whose label values come at run time (default: as many as
    /// the registry lets a name have). The first registration of a name decides.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let loads = registry.counter("loads_total", "Loads.").series_cap(1).dynamic_family(["model"])?;
    /// loads.with_ref(["llama"], |loads| loads.inc());
    /// loads.with_ref(["qwen"], |loads| loads.inc());
    /// assert!(encode::text(&registry).contains("loads_total{model=\"_overflow\"} 1\n"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn series_cap(mut self, series_cap: u64) -> Self {
        self.series_cap = Some(series_cap);
        self
    }

    /// Registers one metric.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn register(self) -> Result<M, RegisterError> {
        with_maps(move || self.register_here()).unwrap_or(Err(RegisterError::ThreadEnds))
    }

    fn register_here(self) -> Result<M, RegisterError> {
        let (core, group) = self.group_here(&[], false)?;
        let metric = group
            .with(&core, &[], M::clone)
            .map_err(|TooManyColumns| RegisterError::TooManyColumns)?;
        // Whoever made it may not have come to its aliases yet.
        group.show_aliases(&metric);
        // An alias may be a series that is there already, and that must be this one.
        match group.aliases().find(|alias| !alias.shows(&metric)) {
            None => Ok(metric),
            Some(alias) => Err(RegisterError::OtherAliases { name: alias.head.name.to_string() }),
        }
    }

    /// Registers one metric, which is shown once somebody uses it.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let swaps = registry.counter("swaps_total", "Swaps.").lazy()?;
    /// assert_eq!(encode::text(&registry), "");
    /// swaps.inc();
    /// assert!(encode::text(&registry).ends_with("swaps_total 1\n"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn lazy(self) -> Result<Lazy<M>, RegisterError> {
        self.group(&[], false).map(|(core, group)| Lazy::new(core, group))
    }

    /// Registers one metric for each value of `V`, as the label `label`; all are there at once, in
    /// the order of their indices.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{label::LabelValue, metric::Counter, registry::Registry};
    ///
    /// #[derive(Clone, Copy, LabelValue)]
    /// enum Cache { Hit, Miss }
    ///
    /// let registry = Registry::new();
    /// let reads: [Counter; 2] = registry.counter("reads_total", "Reads.").each::<Cache, 2>("cache")?;
    /// reads[Cache::Miss as usize].inc();
    /// assert_eq!(reads.map(|counter| counter.get()), [0, 1]);
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn each<V: LabelValue, const N: usize>(self, label: &str) -> Result<[M; N], RegisterError> {
        const { assert!(V::LABELS.len() == N, "there is one metric for each value of the label") }
        self.each_of(label, V::LABELS)
    }

    /// The same for these values; what has none is not shown.
    pub(super) fn each_of<const N: usize>(
        self,
        label: &str,
        values: &[&str],
    ) -> Result<[M; N], RegisterError> {
        let (core, group) = self.group(&[label], false)?;
        let made: Result<Vec<M>, TooManyColumns> =
            values.iter().map(|value| group.with(&core, &[value], M::clone)).collect();
        let mut made = made.map_err(|TooManyColumns| RegisterError::TooManyColumns)?.into_iter();
        Ok(std::array::from_fn(|_| made.next().unwrap_or_else(M::lost)))
    }

    /// Registers a family with the labels of `L`.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn family<L: LabelSet>(self) -> Result<Family<L, M>, RegisterError> {
        self.group(L::NAMES, false).map(|(core, group)| Family::new(core, group))
    }

    /// Registers a family with labels of these names.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn dynamic_family<const N: usize>(
        self,
        names: [&str; N],
    ) -> Result<DynamicFamily<M, N>, RegisterError> {
        self.group(&names, true).map(|(core, group)| DynamicFamily::new(core, group))
    }

    /// The same, for names whose number is known when the program runs.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if there is no name.
    pub(crate) fn open_family(self, names: &[&str]) -> Result<OpenFamily<M>, RegisterError> {
        if names.is_empty() {
            return Err(RegisterError::NoLabels { name: self.name });
        }
        self.group(names, true).map(|(core, group)| OpenFamily::new(core, group))
    }

    /// The series of [`family`](Self::family) for labels of these names, found by text that the
    /// caller bounds.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub(crate) fn named_family(self, names: &[&str]) -> Result<OpenFamily<M>, RegisterError> {
        self.group(names, false).map(|(core, group)| OpenFamily::new(core, group))
    }

    fn group(self, names: &[&str], open: bool) -> Result<Place<M>, RegisterError> {
        let made = with_maps(move || self.group_here(names, open));
        made.unwrap_or(Err(RegisterError::ThreadEnds))
    }

    fn group_here(self, names: &[&str], open: bool) -> Result<Place<M>, RegisterError> {
        let given = self.labels.iter().map(|(name, _)| name.as_str());
        let given: Vec<&str> = given.chain(names.iter().copied()).collect();
        for (i, name) in given.iter().enumerate() {
            if !(self.of_workers && *name == WORKER_ID) {
                check_label(name)?;
            }
            if given[..i].contains(name) {
                return Err(LabelNameError::Repeated((*name).to_owned()).into());
            }
        }
        let mut buckets = match self.buckets.clone() {
            Some(buckets) => buckets?,
            None => Buckets::default(),
        };
        if let Some(native) = self.native {
            buckets = buckets.with_native(native);
        }
        let index = &self.scope.tree.index;
        loop {
            let mut families = vec![self.family_named(&self.name, &given)?];
            let outcome = match self.add_aliases(&mut families, &given) {
                Ok(()) => self.group_in(&families[0], &families[1..], &buckets, names, open),
                Err(error) => Ok(Err(error)),
            };
            // A family that was made for nothing leaves again.
            for family in &families {
                if family.is_unused() {
                    index.remove(&**family);
                }
            }
            // Closed: its last user removed it in this moment; the next one of its name is new.
            if let Ok(place) = outcome {
                return place;
            }
        }
    }

    /// Adds the families of the other names, as far as they can be had.
    fn add_aliases(
        &self,
        families: &mut Vec<Arc<FamilyCore<M>>>,
        given: &[&str],
    ) -> Result<(), RegisterError> {
        for name in &self.aliases {
            let alias = self.family_named(name, given)?;
            if alias.head.name != families[0].head.name {
                families.push(alias);
            }
        }
        Ok(())
    }

    fn group_in(
        &self,
        core: &Arc<FamilyCore<M>>,
        aliases: &[Arc<FamilyCore<M>>],
        buckets: &Buckets,
        names: &[&str],
        open: bool,
    ) -> Result<Result<Place<M>, RegisterError>, Closed> {
        let fixed: Vec<(&str, &str)> = self
            .scope
            .labels()
            .filter(|(name, _)| !(self.of_workers && *name == WORKER_ID))
            .chain(self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .collect();
        let key = key(&fixed, names, open);
        let template = Arc::new(Template::new(&fixed, names));
        let name = || core.head.name.to_string();
        if names.is_empty() {
            // An alias may be a series that is there already, and that must be this one.
            let find = |family: &FamilyCore<M>| family.find(&template, &[], M::clone).ok();
            // Looked for after the alias: who makes both makes it first.
            let taken = |alias: &&Arc<_>| {
                find(alias).is_some_and(|there| find(core).is_none_or(|own| !is(&own, &there)))
            };
            if let Some(alias) = aliases.iter().find(taken) {
                let name = alias.head.name.to_string();
                return Ok(Err(RegisterError::OtherAliases { name }));
            }
        }
        for (i, alias) in aliases.iter().enumerate() {
            if let Err(closed) = alias.hold() {
                self.release(&aliases[..i]);
                return Err(closed);
            }
        }
        let made = core.group(&key, || {
            let plan = Plan {
                unit: self.unit,
                buckets: buckets.clone(),
                invalid: core.head.health.invalid.clone(),
                exemplars: self.exemplars,
            };
            let choices = Choices { plan, open, time_to_live: self.time_to_live };
            let aliases = aliases.iter().map(Arc::downgrade).collect();
            Group::new(Arc::clone(&template), choices, aliases)
        });
        let is_new = matches!(made, Ok((_, true)));
        if !is_new {
            self.release(aliases);
        }
        let (group, _) = made?;
        if group.choices.plan.buckets != *buckets {
            return Ok(Err(RegisterError::OtherBuckets { name: name() }));
        }
        // A name is one family's, so that names say whether the families are the same.
        let names = aliases.iter().map(|alias| &alias.head.name);
        if !group.aliases().map(|alias| alias.head.name.clone()).eq(names.cloned()) {
            return Ok(Err(RegisterError::OtherAliases { name: name() }));
        }
        if is_new {
            let (family, group) = (Arc::clone(core), Arc::clone(&group));
            let entry = Arc::new(Entry { family, group, key: key.into() });
            if let Err(error) = self.scope.tree.keep(&self.scope.node, entry) {
                return Ok(Err(error));
            }
        }
        Ok(Ok((Arc::clone(core), group)))
    }

    fn release(&self, families: &[Arc<FamilyCore<M>>]) {
        for family in families {
            if family.release() {
                self.scope.tree.index.remove(&**family);
            }
        }
    }

    /// The family of this name, for series with these labels besides the scope's.
    fn family_named(
        &self,
        name: &str,
        given: &[&str],
    ) -> Result<Arc<FamilyCore<M>>, RegisterError> {
        let name = self.scope.exposed(&metric_name(name)?);
        if M::TYPE == MetricType::StateSet {
            // Its lines have a label of this name, which no other label may have; the scope's are
            // reserved.
            check_label(&name)?;
            if given.contains(&&*name) {
                return Err(LabelNameError::Repeated(name).into());
            }
        }
        // A counter's name is told without its `_total`, and something must be left to tell.
        metric_name(M::TYPE.kind().base(&name))?;
        if let Some(unit) = self.unit {
            let bare = M::TYPE.kind().base(&name);
            if !bare.strip_suffix(unit.as_str()).is_some_and(|rest| rest.ends_with('_')) {
                return Err(RegisterError::UnitSuffix { name, unit });
            }
        }
        self.scope.tree.index.family(&Wanted {
            name: &name,
            help: &self.help,
            unit: self.unit,
            cap: self.series_cap.unwrap_or(self.scope.tree.series_cap),
            root: &self.scope.tree.root_labels(),
        })
    }
}

/// What tells one registration in a family from another.
fn key(fixed: &[(&str, &str)], names: &[&str], open: bool) -> String {
    // An open set and a closed one of the same names are not one group: only one is capped.
    let mut key = String::from(if open { "open," } else { "closed," });
    for (name, value) in fixed {
        // A value's length keeps one pair from reading as two.
        for piece in [name, "=", itoa::Buffer::new().format(value.len()), ":", value, ","] {
            key.push_str(piece);
        }
    }
    key.push_str(&names.join(","));
    key
}

impl<M: Metric> Registered for Entry<M> {
    fn remove(&self, index: &Index) {
        let unused = self.family.remove_group(&self.key, &self.group);
        for alias in self.group.aliases() {
            if alias.release() {
                index.remove(&*alias);
            }
        }
        if unused {
            index.remove(&*self.family);
        }
    }
}
