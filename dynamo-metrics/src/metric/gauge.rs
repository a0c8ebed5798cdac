//! Gauges: values that go up and down.

use std::sync::Arc;

use super::sealed::{Sealed, Stage};
use super::series::Series;
use super::visit::Value;
use super::{MetricType, Plan};
use crate::cell::{Count, FloatLevel, Level, TooManyColumns};

/// A whole number that is set.
#[derive(Debug, Clone)]
pub struct Gauge(pub(super) Arc<Series<Level>>);

/// A number that is set.
#[derive(Debug, Clone)]
pub struct FloatGauge(pub(super) Arc<Series<FloatLevel>>);

/// A whole number that goes up and down by steps, and is never set: what is in flight, queued, open.
///
/// It is exposed as a gauge. Unlike one it has no `set`, so that many threads can write it without
/// meeting.
///
/// # Examples
/// ```
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let open = registry.up_down_counter("open_streams", "Streams that are open.").register()?;
/// let stream = open.enter();
/// assert_eq!(open.get(), 1);
/// drop(stream);
/// assert_eq!(open.get(), 0);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct UpDownCounter(pub(super) Arc<Series<Count>>);

/// One unit of an [`UpDownCounter`], given back when it is dropped.
#[derive(Debug)]
#[must_use = "the count falls again when this is dropped"]
pub struct InFlight(UpDownCounter);

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.value.set(value);
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.value.add(n);
    }

    /// Takes `n` away.
    #[inline]
    pub fn sub(&self, n: i64) {
        self.add(n.wrapping_neg());
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.add(-1);
    }

    /// The value last set, with what was added since.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.value.get()
    }
}

impl FloatGauge {
    /// Sets the value. NaN says that the value is not known.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.value.set(value);
    }

    /// Adds `by`, which may be negative.
    #[inline]
    pub fn add(&self, by: f64) {
        self.0.value.add(by);
    }

    /// Takes `by` away.
    #[inline]
    pub fn sub(&self, by: f64) {
        self.add(-by);
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// The value last set, with what was added since.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.value.get()
    }
}

impl UpDownCounter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.value.add(1);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.0.value.dec();
    }

    /// Adds one, until the guard is dropped.
    #[inline]
    pub fn enter(&self) -> InFlight {
        self.inc();
        InFlight(self.clone())
    }

    /// What is in flight now.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.value.get_signed()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Sealed for Gauge {
    const TYPE: MetricType = MetricType::Gauge;

    fn lost() -> Self {
        Self(Series::alone(Level::default()))
    }

    fn make(_: &Plan) -> Result<Level, TooManyColumns> {
        Ok(Level::default())
    }

    fn show(series: &Series<Level>, at: &mut Stage<'_>) {
        series.show(Value::Gauge(series.value.get().into()), at.visitor);
    }

    fn digest(series: &Series<Level>) -> u64 {
        series.value.touches()
    }
}

impl Sealed for FloatGauge {
    const TYPE: MetricType = MetricType::FloatGauge;

    fn lost() -> Self {
        Self(Series::alone(FloatLevel::default()))
    }

    fn make(_: &Plan) -> Result<FloatLevel, TooManyColumns> {
        Ok(FloatLevel::default())
    }

    fn show(series: &Series<FloatLevel>, at: &mut Stage<'_>) {
        series.show(Value::Gauge(series.value.get().into()), at.visitor);
    }

    fn digest(series: &Series<FloatLevel>) -> u64 {
        series.value.touches()
    }
}

impl Sealed for UpDownCounter {
    const TYPE: MetricType = MetricType::UpDownCounter;

    fn lost() -> Self {
        Self(Series::alone(Count::lost()))
    }

    fn make(_: &Plan) -> Result<Count, TooManyColumns> {
        Count::new()
    }

    fn show(series: &Series<Count>, at: &mut Stage<'_>) {
        series.show(Value::Gauge(series.value.get_signed().into()), at.visitor);
    }

    fn digest(series: &Series<Count>) -> u64 {
        series.value.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_enters_leaves_once() {
        let gauge = UpDownCounter(Series::alone(Count::new().unwrap()));
        let (first, second) = (gauge.enter(), gauge.enter());
        drop(first);
        assert_eq!(gauge.get(), 1);
        drop(second);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_gauge_keeps_what_was_set() {
        let gauge = FloatGauge::lost();
        gauge.set(2.5);
        gauge.add(-0.5);
        assert!((gauge.get() - 2.0).abs() < f64::EPSILON);
        gauge.set(f64::NAN);
        assert!(gauge.get().is_nan());
    }
}
