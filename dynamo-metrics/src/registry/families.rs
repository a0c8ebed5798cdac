//! Families: metrics of one name that differ in their labels, as users hold them.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::family::FamilyCore;
use super::group::Group;
use crate::cell::TooManyColumns;
use crate::label::LabelSet;
use crate::metric::Metric;

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
pub struct Family<L, M: Metric> {
    core: Arc<FamilyCore<M>>,
    group: Arc<Group<M>>,
    /// Every series by its index; empty if labels have none. Other types may have the same labels
    /// and another order of them, so it is this type's own.
    dense: Arc<[OnceLock<M>]>,
    labels: PhantomData<fn(L)>,
}

/// Metrics of one name that differ in `N` labels whose values are text.
///
/// A name holds a bounded number of such series, whatever scopes they are of (2 000 unless the
/// registry says otherwise). Past that, label values read `_overflow`, and `dynamo_metrics_series_overflow_total` counts how
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
pub struct DynamicFamily<M: Metric, const N: usize> {
    core: Arc<FamilyCore<M>>,
    group: Arc<Group<M>>,
}

/// The same, where the number of labels is known when the program runs.
pub(crate) struct OpenFamily<M: Metric> {
    core: Arc<FamilyCore<M>>,
    group: Arc<Group<M>>,
}

impl<L: LabelSet, M: Metric> Family<L, M> {
    pub(super) fn new(core: Arc<FamilyCore<M>>, group: Arc<Group<M>>) -> Self {
        // An array would hold what is to go after its time.
        let count = L::COUNT.filter(|_| group.choices.time_to_live.is_none());
        let dense = (0..count.unwrap_or(0)).map(|_| OnceLock::new()).collect();
        Self { core, group, dense, labels: PhantomData }
    }

    /// The metric of these labels, made if it is new.
    #[must_use]
    pub fn with(&self, labels: &L) -> M {
        if let Some(metric) = self.known(labels) {
            return metric.clone();
        }
        self.look_up(labels, M::clone).unwrap_or_else(|TooManyColumns| lost(&self.core))
    }

    /// Calls `record` with the metric of these labels, made if it is new.
    ///
    /// # Cost
    /// An index into an array, where all labels have a known number of values (enums with
    /// `#[derive(LabelValue)]`, `bool`, `Option` of them), and a comparison where one of them is a
    /// [`Bounded`](crate::label::Bounded); else a look-up without locks. Unlike
    /// [`with`](Self::with) it touches no reference count.
    #[inline]
    pub fn with_ref(&self, labels: &L, record: impl FnOnce(&M)) {
        match self.known(labels) {
            Some(metric) => record(metric),
            None => self.record_unknown(labels, record),
        }
    }

    /// Removes the series of these labels; whether it was there. Handles that somebody holds record
    /// to a value that is not shown any more.
    pub fn remove(&self, labels: &L) -> bool {
        labels.values(|values| self.core.remove(&self.group, values))
    }

    /// The metric of these labels, if their index leads to it.
    #[inline]
    fn known(&self, labels: &L) -> Option<&M> {
        // Known when the program is built, so that either way is short.
        L::COUNT?;
        let known = self.dense.get(labels.index()).and_then(OnceLock::get);
        known.filter(|metric| metric.series().place().is_some() && self.is(metric, labels))
    }

    fn look_up<R>(&self, labels: &L, seen: impl FnOnce(&M) -> R) -> Result<R, TooManyColumns> {
        if L::COUNT.is_none() {
            return labels.values(|values| self.group.with(&self.core, values, seen));
        }
        let cell = self.dense.get(labels.index());
        let found = labels.values(|values| self.group.find_or_make(&self.core, values, cell))?;
        Ok(seen(&found))
    }

    /// Out of line, and the last thing done, so that the array's way stays short.
    #[inline(never)]
    fn record_unknown(&self, labels: &L, record: impl FnOnce(&M)) {
        if let Err(TooManyColumns) = self.look_up(labels, record) {
            self.core.head.health.overflow.inc();
        }
    }

    /// Whether this is the metric of these labels, and not another one of their index.
    #[inline]
    fn is(&self, metric: &M, labels: &L) -> bool {
        let series = metric.series();
        L::EXACT || labels.values(|values| series.labels.is(&self.group.template, values))
    }
}

impl<M: Metric, const N: usize> DynamicFamily<M, N> {
    pub(super) fn new(core: Arc<FamilyCore<M>>, group: Arc<Group<M>>) -> Self {
        Self { core, group }
    }

    /// The metric of these label values, given in the order of the names, made if it is new.
    #[must_use]
    pub fn with(&self, values: [&str; N]) -> M {
        let found = self.group.with(&self.core, &values, M::clone);
        found.unwrap_or_else(|TooManyColumns| lost(&self.core))
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
    #[inline]
    pub fn with_ref(&self, values: [&str; N], record: impl FnOnce(&M)) {
        if let Err(TooManyColumns) = self.group.with(&self.core, &values, record) {
            self.core.head.health.overflow.inc();
        }
    }

    /// Removes the series of these label values; whether it was there. Handles that somebody holds
    /// record to a value that is not shown any more.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let loads = registry.counter("loads_total", "Loads.").dynamic_family(["model"])?;
    /// loads.with_ref(["llama"], |loads| loads.inc());
    /// assert!(loads.remove(["llama"]) && !loads.remove(["llama"]));
    /// assert_eq!(encode::text(&registry), "");
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    #[expect(clippy::must_use_candidate, reason = "removing is the point")]
    pub fn remove(&self, values: [&str; N]) -> bool {
        self.core.remove(&self.group, &values)
    }

    /// Removes all series whose label `name` has this value, whatever the others have; how many they
    /// were. What is gone takes its series with it: a model that is served no longer, a worker.
    ///
    /// # Cost
    /// A look at every series of the family, during which nobody makes a new one.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let loads = registry.counter("loads_total", "Loads.").dynamic_family(["model", "device"])?;
    /// for labels in [["llama", "gpu0"], ["llama", "gpu1"], ["qwen", "gpu0"]] {
    ///     loads.with_ref(labels, |loads| loads.inc());
    /// }
    /// assert_eq!(loads.remove_where("model", "llama"), 2);
    /// assert!(encode::text(&registry).ends_with(
    ///     "counter\nloads_total{device=\"gpu0\",model=\"qwen\"} 1\n"
    /// ));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    #[expect(clippy::must_use_candidate, reason = "removing is the point")]
    pub fn remove_where(&self, name: &str, value: &str) -> usize {
        self.core.remove_where(&self.group, name, value)
    }
}

impl<M: Metric> OpenFamily<M> {
    pub(super) fn new(core: Arc<FamilyCore<M>>, group: Arc<Group<M>>) -> Self {
        Self { core, group }
    }

    /// How many labels there are.
    pub(crate) fn names(&self) -> usize {
        self.group.template.varying()
    }

    /// The metric of these label values, made if it is new; `None` if they are not as many as the
    /// names.
    pub(crate) fn with(&self, values: &[&str]) -> Option<M> {
        (values.len() == self.names()).then(|| {
            let found = self.group.with(&self.core, values, M::clone);
            found.unwrap_or_else(|TooManyColumns| lost(&self.core))
        })
    }

    /// A metric that nobody sees, for values that are no label set of the family: each is counted
    /// as a bad sample.
    pub(crate) fn misfit(&self) -> M {
        self.core.head.health.invalid.inc();
        M::lost()
    }

    /// Removes the series of these label values; whether it was there.
    pub(crate) fn remove(&self, values: &[&str]) -> bool {
        values.len() == self.names() && self.core.remove(&self.group, values)
    }
}

/// A metric that nobody sees: there is no place for its value. That shows as overflow.
pub(super) fn lost<M: Metric>(core: &FamilyCore<M>) -> M {
    core.head.health.overflow.inc();
    M::lost()
}

impl<L, M: Metric> Clone for Family<L, M> {
    fn clone(&self) -> Self {
        let dense = self.dense.clone();
        Self { core: self.core.clone(), group: self.group.clone(), dense, labels: PhantomData }
    }
}

impl<M: Metric, const N: usize> Clone for DynamicFamily<M, N> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), group: self.group.clone() }
    }
}

impl<M: Metric> Clone for OpenFamily<M> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone(), group: self.group.clone() }
    }
}

impl<L, M: Metric> fmt::Debug for Family<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family").field("name", &self.core.head.name).finish_non_exhaustive()
    }
}

impl<M: Metric, const N: usize> fmt::Debug for DynamicFamily<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamicFamily").field("name", &self.core.head.name).finish_non_exhaustive()
    }
}

impl<M: Metric> fmt::Debug for OpenFamily<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenFamily").field("name", &self.core.head.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::label::LabelSet;
    use crate::metric::Counter;
    use crate::registry::{Family, Registry};

    #[derive(LabelSet)]
    struct Call {
        cached: bool,
    }

    /// Whether a look-up goes by the index alone.
    fn is_indexed(family: &Family<Call, Counter>, cached: bool) -> bool {
        family.dense[usize::from(cached)].get().is_some()
    }

    #[test]
    fn whoever_finds_a_series_that_another_handle_made_goes_by_its_index_then() {
        let registry = Registry::new();
        let register = || registry.counter("x_total", "").family::<Call>().unwrap();
        let (maker, finder) = (register(), register());
        maker.with_ref(&Call { cached: true }, Counter::inc);
        assert!(is_indexed(&maker, true) && !is_indexed(&finder, true));
        finder.with_ref(&Call { cached: true }, Counter::inc);
        assert!(is_indexed(&finder, true) && !is_indexed(&finder, false));
        assert_eq!(maker.with(&Call { cached: true }).get(), 2);
    }

    #[test]
    fn what_is_another_registrations_is_not_held() {
        let registry = Registry::new();
        let mortal = registry.counter("x_total", "").label("cached", "true");
        let mortal = mortal.time_to_live(Duration::from_secs(1)).dynamic_family(["other"]).unwrap();
        mortal.with_ref([""], Counter::inc);
        let family: Family<Call, Counter> = registry.counter("x_total", "").family().unwrap();
        family.with_ref(&Call { cached: true }, Counter::inc);
        assert_eq!(family.with(&Call { cached: true }).get(), 2);
        assert!(!is_indexed(&family, true));
    }
}
