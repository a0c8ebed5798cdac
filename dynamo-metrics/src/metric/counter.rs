//! Counters: values that only go up, from zero at their creation.

use std::sync::Arc;

use super::exemplar::{Exemplar, ExemplarLabels};
use super::sealed::{Sealed, Stage};
use super::series::Series;
use super::visit::Value;
use super::{MetricType, Plan};
use crate::cell::{Count, FloatCount, TooManyColumns};

/// A whole number that only goes up.
///
/// # Examples
/// ```
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let served = registry.counter("tokens_served_total", "Tokens sent to clients.").register()?;
/// served.inc();
/// served.inc_by(41);
/// assert_eq!(served.get(), 42);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Counter(pub(super) Arc<Series<Count>>);

/// A number that only goes up, in steps that need not be whole (seconds of work, say).
///
/// Prefer [`Counter`] for what can be counted: it never loses precision.
#[derive(Debug, Clone)]
pub struct FloatCounter(pub(super) Arc<Series<FloatCell>>);

/// The value of a [`FloatCounter`].
#[derive(Debug)]
pub struct FloatCell {
    value: FloatCount,
    invalid: Counter,
}

impl Default for Counter {
    /// A counter that no registry shows.
    fn default() -> Self {
        Count::new().map_or_else(|TooManyColumns| Self::lost(), |count| Self(Series::alone(count)))
    }
}

impl Counter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// Adds `n`. Past `u64::MAX` it wraps, which Prometheus reads as a reset.
    #[inline]
    pub fn inc_by(&self, n: u64) {
        self.0.value.add(n);
        if self.0.exemplars.is_some() {
            self.offer(n);
        }
    }

    /// What was added may be the counter's exemplar.
    #[inline(never)]
    fn offer(&self, n: u64) {
        if let Some(exemplars) = &self.0.exemplars {
            exemplars.offer(0, n as f64);
        }
    }

    /// Adds `n`, and keeps it as the counter's exemplar, unless one came less than a second ago or
    /// the counter was registered without [`exemplars`](crate::registry::MetricBuilder::exemplars).
    pub fn inc_by_with_exemplar(&self, n: u64, labels: &ExemplarLabels) {
        self.0.value.add(n);
        if let Some(exemplars) = &self.0.exemplars {
            exemplars.keep(0, n as f64, || labels.clone());
        }
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.value.get()
    }

    /// Whether a registry shows it still.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.place().is_some()
    }

    /// The exemplar, if there is one.
    #[must_use]
    pub fn exemplar(&self) -> Option<Arc<Exemplar>> {
        self.0.exemplars.as_ref()?.get(0)
    }
}

impl FloatCounter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.inc_by(1.0);
    }

    /// Adds `by`; what is negative, infinite or not a number is dropped and counted.
    #[inline]
    pub fn inc_by(&self, by: f64) {
        let cell = &self.0.value;
        if by.is_finite() && by >= 0.0 {
            cell.value.add(by);
        } else {
            cell.invalid.inc();
        }
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.value.value.get()
    }
}

impl Sealed for Counter {
    const TYPE: MetricType = MetricType::Counter;

    fn lost() -> Self {
        Self(Series::alone(Count::lost()))
    }

    fn make(_: &Plan) -> Result<Count, TooManyColumns> {
        Count::new()
    }

    fn show(series: &Series<Count>, at: &mut Stage<'_>) {
        series.show(Value::Counter(series.value.get().into()), at.visitor);
    }

    fn digest(series: &Series<Count>) -> u64 {
        series.value.get()
    }
}

impl Sealed for FloatCounter {
    const TYPE: MetricType = MetricType::FloatCounter;

    fn lost() -> Self {
        let (value, invalid) = (FloatCount::lost(), Counter::lost());
        Self(Series::alone(FloatCell { value, invalid }))
    }

    fn make(plan: &Plan) -> Result<FloatCell, TooManyColumns> {
        Ok(FloatCell { value: FloatCount::new()?, invalid: plan.invalid.clone() })
    }

    fn show(series: &Series<FloatCell>, at: &mut Stage<'_>) {
        series.show(Value::Counter(series.value.value.get().into()), at.visitor);
    }

    fn digest(series: &Series<FloatCell>) -> u64 {
        series.value.value.get().to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_total() {
        let counter = Counter::default();
        counter.clone().inc();
        counter.inc_by(2);
        assert_eq!(counter.get(), 3);
    }

    #[test]
    fn a_float_counter_never_goes_down() {
        let invalid = Counter::default();
        let plan = Plan { invalid: invalid.clone(), ..Plan::default() };
        let counter = FloatCounter(Series::alone(FloatCounter::make(&plan).unwrap()));
        for step in [1.5, -1.0, f64::NAN, f64::INFINITY, 0.25] {
            counter.inc_by(step);
        }
        assert!((counter.get() - 1.75).abs() < f64::EPSILON);
        assert_eq!(invalid.get(), 3);
    }
}
