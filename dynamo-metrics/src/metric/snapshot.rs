//! Histograms at one point in time.

use super::layout::Layout;
use super::{Buckets, NativeBuckets};

/// A histogram at one point in time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramSnapshot {
    buckets: Buckets,
    /// Samples in each column, of which both forms are made.
    columns: Vec<u64>,
    counts: Vec<u64>,
    native: Vec<u64>,
    sum: f64,
}

/// The native buckets of a histogram at one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NativeSnapshot<'a> {
    buckets: &'a NativeBuckets,
    zero_count: u64,
    counts: &'a [u64],
}

impl<'a> NativeSnapshot<'a> {
    /// The schema, the zero bucket's bound, and the index of the first bucket in
    /// [`counts`](Self::counts).
    #[must_use]
    pub fn buckets(&self) -> &'a NativeBuckets {
        self.buckets
    }

    /// Samples in the zero bucket.
    #[must_use]
    pub fn zero_count(&self) -> u64 {
        self.zero_count
    }

    /// Samples in each bucket above it, not summed up; what lies above the range is in the last.
    #[must_use]
    pub fn counts(&self) -> &'a [u64] {
        self.counts
    }
}

impl HistogramSnapshot {
    /// Reads a histogram of `buckets`, whose columns `read` puts into a list.
    pub(super) fn fill(
        &mut self,
        buckets: &Buckets,
        layout: &Layout,
        sum: f64,
        read: impl FnOnce(&mut Vec<u64>),
    ) {
        if !self.buckets.is(buckets) {
            self.buckets = buckets.clone();
        }
        read(&mut self.columns);
        layout.classic(&self.columns, &mut self.counts);
        layout.native(&self.columns, &mut self.native);
        self.sum = sum;
    }

    /// The buckets' upper bounds, `+Inf` left out.
    #[must_use]
    #[inline]
    pub fn bounds(&self) -> &[f64] {
        self.buckets.bounds()
    }

    /// Samples in each bucket, not summed up; the last one is the bucket up to `+Inf`.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// All samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The native buckets, if the histogram has them.
    #[must_use]
    pub fn native(&self) -> Option<NativeSnapshot<'_>> {
        let (zero_count, counts) = self.native.split_first()?;
        Some(NativeSnapshot { buckets: self.buckets.native()?, zero_count: *zero_count, counts })
    }

    /// The sum of all samples.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The value below which a share `q` of the samples lies, estimated within its bucket as
    /// Prometheus's `histogram_quantile` does; `None` if there is no sample.
    ///
    /// A quantile in the last bucket reads as that bucket's lower bound. A share below 0 reads as
    /// negative infinity, one above 1 as infinity, and what is not a number as itself.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        if !(0.0..=1.0).contains(&q) {
            return Some(if q.is_nan() { q } else { f64::INFINITY.copysign(q) });
        }
        let rank = q * total as f64;
        let mut below = 0.0;
        for (i, &count) in self.counts.iter().enumerate() {
            let within = count as f64;
            if count > 0 && below + within >= rank {
                let lower = i.checked_sub(1).and_then(|i| self.bounds().get(i).copied());
                let lower = lower.unwrap_or(0.0);
                let Some(&upper) = self.bounds().get(i) else {
                    return Some(lower);
                };
                return Some(lower + (upper - lower) * (rank - below) / within);
            }
            below += within;
        }
        self.bounds().last().copied()
    }
}
