//! Bucket bounds: checked once, when they are built.

use std::sync::{Arc, OnceLock};

use super::layout::Layout;
use super::native::NativeBuckets;
use crate::clock::NANOSECONDS;

/// Most steps of a logarithmic scale, as Dynamo has it; rounding makes many of them equal.
const MOST_STEPS: usize = 512;

/// The upper bounds of a histogram's buckets, without the last one, which is always `+Inf`.
///
/// A sample falls into the first bucket whose bound is not below it.
///
/// # Examples
/// ```
/// use dynamo_metrics::metric::{Buckets, BucketsError};
///
/// let buckets = Buckets::new([0.1, 0.5, 2.5])?;
/// assert_eq!(buckets.bounds(), [0.1, 0.5, 2.5]);
/// assert!(matches!(Buckets::new([1.0, 1.0]), Err(BucketsError::Order { .. })));
/// # Ok::<(), BucketsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Buckets(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    upper: Box<[f64]>,
    native: Option<NativeBuckets>,
    /// Where samples are counted, and where those are that come in nanoseconds.
    plain: OnceLock<Layout>,
    nanoseconds: OnceLock<Layout>,
}

/// Why bounds cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketsError {
    /// There is no bound at all.
    #[error("no bucket bound")]
    Empty,
    /// There are more than 256 bounds, or more than 640 native buckets.
    #[error("{0} bucket bounds, more than a histogram may have")]
    TooMany(usize),
    /// There is no such schema of native buckets.
    #[error("no schema {0} of native buckets, which are from 0 to 8")]
    Schema(u8),
    /// A bound is infinite or not a number. (`+Inf` is always there, and is not given.)
    #[error("bucket bound {0} is not finite")]
    NotFinite(f64),
    /// A bound is below zero, where a histogram has no samples.
    #[error("bucket bound {0} is negative")]
    Negative(f64),
    /// No scale leads from the first to the second: zero, subnormal, negative, or in the wrong order.
    #[error("no logarithmic scale leads from {min} to {max}")]
    Scale {
        /// Where the scale would start.
        min: f64,
        /// Where it would end.
        max: f64,
    },
    /// A bound is not above the one before it.
    #[error("bucket bound {after} does not lie above {before}")]
    Order {
        /// The bound before it.
        before: f64,
        /// The bound that should be greater.
        after: f64,
    },
}

impl Buckets {
    /// Most bounds that a histogram may have.
    pub(crate) const MOST: usize = 256;

    /// Checks `bounds`.
    ///
    /// # Errors
    /// One variant of [`BucketsError`] for each rule: at least one bound, at most 256, all finite
    /// and not negative, each above the one before.
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Result<Self, BucketsError> {
        let bounds: Box<[f64]> = bounds.into_iter().collect();
        if bounds.is_empty() {
            return Err(BucketsError::Empty);
        }
        if bounds.len() > Self::MOST {
            return Err(BucketsError::TooMany(bounds.len()));
        }
        if let Some(&bound) = bounds.iter().find(|bound| !bound.is_finite()) {
            return Err(BucketsError::NotFinite(bound));
        }
        if let Some(&bound) = bounds.iter().find(|&&bound| bound < 0.0) {
            return Err(BucketsError::Negative(bound));
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(BucketsError::Order { before: pair[0], after: pair[1] });
        }
        Ok(Self::checked(bounds, None))
    }

    /// Bounds as Dynamo computes them: 0, then `count - 1` steps of equal ratio up to `max`, each
    /// rounded to two significant figures, repeated ones left out.
    ///
    /// At most 512 steps, of which 256 different ones may be left. The step at `min` itself is replaced by the 0. The rounding is Dynamo's, bit for bit, since
    /// a bound is a part of a series' identity.
    ///
    /// # Errors
    /// [`BucketsError::Scale`] unless `0 < min < max`, both finite; else as [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::metric::Buckets;
    ///
    /// let buckets = Buckets::log(1.0, 512.0, 10)?;
    /// assert_eq!(buckets.bounds(), [0.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 130.0, 260.0, 510.0]);
    /// # Ok::<(), dynamo_metrics::metric::BucketsError>(())
    /// ```
    pub fn log(min: f64, max: f64, count: usize) -> Result<Self, BucketsError> {
        if count > MOST_STEPS {
            return Err(BucketsError::TooMany(count));
        }
        if !(min > 0.0 && min < max && max.is_finite()) {
            return Err(BucketsError::Scale { min, max });
        }
        let (low, high) = (min.ln(), max.ln());
        let steps = count.saturating_sub(1) as f64;
        let mut bounds: Vec<f64> = (0..count)
            .map(|i| match i {
                0 => 0.0,
                i => two_figures((low + (high - low) * i as f64 / steps).exp()),
            })
            .collect();
        // Neighbours that rounding made equal; compared as bits, since both come from one formula.
        bounds.dedup_by_key(|bound| bound.to_bits());
        Self::new(bounds)
    }

    /// `count` bounds from `start` on, each `step` above the one before.
    ///
    /// They are computed as most Prometheus clients do, bit for bit: `0.05` three times is
    /// `0.15000000000000002`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::metric::Buckets;
    ///
    /// assert_eq!(Buckets::linear(0.0, 0.25, 5)?.bounds(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), dynamo_metrics::metric::BucketsError>(())
    /// ```
    pub fn linear(start: f64, step: f64, count: usize) -> Result<Self, BucketsError> {
        if count > Self::MOST {
            return Err(BucketsError::TooMany(count));
        }
        Self::new((0..count).map(|i| start + step * i as f64))
    }

    /// `count` bounds from `start` on, each `factor` times the one before.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::metric::Buckets;
    ///
    /// assert_eq!(Buckets::exponential(1.0, 2.0, 4)?.bounds(), [1.0, 2.0, 4.0, 8.0]);
    /// # Ok::<(), dynamo_metrics::metric::BucketsError>(())
    /// ```
    pub fn exponential(start: f64, factor: f64, count: usize) -> Result<Self, BucketsError> {
        if count > Self::MOST {
            return Err(BucketsError::TooMany(count));
        }
        Self::new(std::iter::successors(Some(start), |bound| Some(bound * factor)).take(count))
    }

    /// The bounds, in increasing order.
    #[must_use]
    pub fn bounds(&self) -> &[f64] {
        &self.0.upper
    }

    /// The bounds, one after another.
    pub fn iter(&self) -> std::iter::Copied<std::slice::Iter<'_, f64>> {
        self.0.upper.iter().copied()
    }

    /// The same, with native buckets beside them.
    #[must_use]
    pub fn with_native(self, native: NativeBuckets) -> Self {
        Self::checked(self.bounds().into(), Some(native))
    }

    /// The native buckets, if there are any.
    #[must_use]
    pub fn native(&self) -> Option<&NativeBuckets> {
        self.0.native.as_ref()
    }

    /// Where samples are counted.
    pub(super) fn layout(&self) -> &Layout {
        self.0.plain.get_or_init(|| Layout::new(self, |bound| bound))
    }

    /// Where samples in nanoseconds are counted, if the bounds are seconds.
    pub(super) fn layout_of_nanoseconds(&self) -> &Layout {
        self.0.nanoseconds.get_or_init(|| {
            // Rounded, so that 300 ms lie in the bucket up to 0.3, which no `f64` is exactly.
            Layout::new(self, |bound| (bound * NANOSECONDS).round())
        })
    }

    /// Whether both are the same, and not only equal.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn checked(upper: Box<[f64]>, native: Option<NativeBuckets>) -> Self {
        let (plain, nanoseconds) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Bounds { upper, native, plain, nanoseconds }))
    }
}

impl PartialEq for Buckets {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || (self.bounds() == other.bounds() && self.native() == other.native())
    }
}

impl Default for Buckets {
    /// Bounds for seconds, from a few milliseconds to ten: those of most Prometheus clients.
    fn default() -> Self {
        let upper = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        Self::checked(Box::new(upper), None)
    }
}

impl<'a> IntoIterator for &'a Buckets {
    type Item = f64;
    type IntoIter = std::iter::Copied<std::slice::Iter<'a, f64>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn two_figures(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powf(1.0 - value.abs().log10().floor());
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        assert_eq!(Buckets::new([]), Err(BucketsError::Empty));
        assert_eq!(Buckets::new((0..257).map(f64::from)), Err(BucketsError::TooMany(257)));
        assert_eq!(Buckets::new([1.0, f64::INFINITY]), Err(BucketsError::NotFinite(f64::INFINITY)));
        assert!(matches!(Buckets::new([f64::NAN]), Err(BucketsError::NotFinite(_))));
        assert_eq!(Buckets::new([-1.0, 1.0]), Err(BucketsError::Negative(-1.0)));
        assert_eq!(
            Buckets::new([1.0, 3.0, 2.0]),
            Err(BucketsError::Order { before: 3.0, after: 2.0 })
        );
    }

    #[test]
    fn steps_add_up_and_multiply_as_clients_compute_them() {
        let linear = Buckets::linear(0.0, 0.05, 21).unwrap();
        assert_eq!((linear.bounds()[3], linear.bounds()[20]), (0.150_000_000_000_000_02, 1.0));
        // Multiplied one by one, which is not the power.
        let factors = Buckets::exponential(0.01, 3.0, 17).unwrap();
        assert_eq!(factors.bounds()[2..4], [0.09, 0.27]);
        assert_eq!(factors.bounds().last(), Some(&430_467.210_000_000_1));
        for bad in [Buckets::linear(0.0, 0.0, 2), Buckets::exponential(0.0, 2.0, 2)] {
            assert!(matches!(bad, Err(BucketsError::Order { .. })), "{bad:?}");
        }
        assert_eq!(Buckets::linear(0.0, 1.0, 257), Err(BucketsError::TooMany(257)));
        assert_eq!(
            Buckets::exponential(1.0, 2.0, usize::MAX),
            Err(BucketsError::TooMany(usize::MAX))
        );
    }

    #[test]
    fn a_scale_has_as_many_steps_as_dynamos_and_no_more_bounds_than_a_histogram() {
        let many = Buckets::log(1.0, 10.0, 512).unwrap();
        assert_eq!((many.bounds().len(), many.bounds()[1]), (92, 1.0));
        assert!(matches!(Buckets::log(1e-6, 1e6, 512), Err(BucketsError::TooMany(_))));
        assert_eq!(Buckets::log(1.0, 10.0, 513), Err(BucketsError::TooMany(513)));
    }

    #[test]
    fn a_scale_that_is_none_is_an_error() {
        for (min, max, count) in [(1.0, 1.0, 5), (0.0, 1.0, 5), (-1.0, 1.0, 5), (5.0, 1.0, 5)] {
            assert!(Buckets::log(min, max, count).is_err(), "{min} {max} {count}");
        }
        assert_eq!(Buckets::log(1.0, 2.0, 0), Err(BucketsError::Empty));
        assert_eq!(Buckets::log(1.0, 2.0, usize::MAX), Err(BucketsError::TooMany(usize::MAX)));
    }
}
