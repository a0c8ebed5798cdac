//! Gauges: values that go up and down.

use std::sync::Arc;

use crate::cell::{self, TooManyColumns};

/// A whole number that is set.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<cell::Level>);

/// A number that is set.
#[derive(Debug, Clone)]
pub struct FloatGauge(Arc<cell::FloatLevel>);

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
pub struct UpDownCounter(cell::Count);

/// One unit of an [`UpDownCounter`], given back when it is dropped.
#[derive(Debug)]
#[must_use = "the count falls again when this is dropped"]
pub struct InFlight(UpDownCounter);

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.set(value);
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.0.add(n);
    }

    /// The value last set, with what was added since.
    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.get()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn new() -> Self {
        Self(Arc::default())
    }
}

impl FloatGauge {
    /// Sets the value. NaN says that the value is not known.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds `by`, which may be negative.
    #[inline]
    pub fn add(&self, by: f64) {
        self.0.add(by);
    }

    /// The value last set, with what was added since.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn new() -> Self {
        Self(Arc::default())
    }
}

impl UpDownCounter {
    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// Takes one away.
    #[inline]
    pub fn dec(&self) {
        self.0.dec();
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
        self.0.get_signed()
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    pub(super) fn new() -> Result<Self, TooManyColumns> {
        cell::Count::new().map(Self)
    }

    /// One that nobody reads.
    pub(super) fn lost() -> Self {
        Self(cell::Count::lost())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_enters_leaves_once() {
        let gauge = UpDownCounter::new().unwrap();
        let (first, second) = (gauge.enter(), gauge.enter());
        drop(first);
        assert_eq!(gauge.get(), 1);
        drop(second);
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_gauge_keeps_what_was_set() {
        let gauge = FloatGauge::new();
        gauge.set(2.5);
        gauge.add(-0.5);
        assert!((gauge.get() - 2.0).abs() < f64::EPSILON);
        gauge.set(f64::NAN);
        assert!(gauge.get().is_nan());
    }
}
