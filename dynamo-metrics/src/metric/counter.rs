//! Counters: values that only go up, from zero at their creation.

use crate::cell::{self, TooManyColumns};

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
pub struct Counter(cell::Count);

/// A number that only goes up, in steps that need not be whole (seconds of work, say).
///
/// Prefer [`Counter`] for what can be counted: it never loses precision.
#[derive(Debug, Clone)]
pub struct FloatCounter {
    value: cell::FloatCount,
    invalid: Counter,
}

impl Default for Counter {
    /// A counter that no registry shows.
    fn default() -> Self {
        Self::new().unwrap_or_else(|TooManyColumns| Self::lost())
    }
}

impl Counter {
    pub(super) fn new() -> Result<Self, TooManyColumns> {
        cell::Count::new().map(Self)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.is(&other.0)
    }

    /// A counter that nobody reads.
    pub(super) fn lost() -> Self {
        Self(cell::Count::lost())
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.0.add(1);
    }

    /// Adds `n`. Past `u64::MAX` it wraps, which Prometheus reads as a reset.
    #[inline]
    pub fn inc_by(&self, n: u64) {
        self.0.add(n);
    }

    /// The count so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl FloatCounter {
    /// Adds `by`; what is negative, infinite or not a number is dropped and counted.
    #[inline]
    pub fn inc_by(&self, by: f64) {
        if by.is_finite() && by >= 0.0 {
            self.value.add(by);
        } else {
            self.invalid.inc();
        }
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.value.get()
    }

    pub(super) fn new(invalid: &Counter) -> Result<Self, TooManyColumns> {
        Ok(Self { value: cell::FloatCount::new()?, invalid: invalid.clone() })
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.value.is(&other.value)
    }

    /// A counter that nobody reads.
    pub(super) fn lost() -> Self {
        Self { value: cell::FloatCount::lost(), invalid: Counter::lost() }
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
        let counter = FloatCounter::new(&invalid).unwrap();
        for step in [1.5, -1.0, f64::NAN, f64::INFINITY, 0.25] {
            counter.inc_by(step);
        }
        assert!((counter.get() - 1.75).abs() < f64::EPSILON);
        assert_eq!(invalid.get(), 3);
    }
}
