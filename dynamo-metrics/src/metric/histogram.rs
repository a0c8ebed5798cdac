//! Histograms: samples counted in buckets.

use std::sync::Arc;
use std::time::Duration;

use super::buckets::NANOSECONDS;
use super::finder::Finder;
use super::{Buckets, Counter};
use crate::cell::{Run, TooManyColumns};
use crate::clock::{self, Instant};

/// Samples counted in buckets, with their sum.
///
/// Samples that are negative, infinite or not a number are dropped and counted.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let waits = registry
///     .histogram("queue_seconds", "Time a request waits for a slot.")
///     .buckets([0.01, 0.1, 1.0])
///     .register()?;
/// waits.observe(0.05);
/// waits.observe_duration(Duration::from_millis(500));
/// let seen = waits.snapshot();
/// assert_eq!(seen.counts(), [0, 1, 1, 0]);
/// assert_eq!(seen.count(), 2);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Cells>);

/// A histogram at one point in time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramSnapshot {
    buckets: Buckets,
    counts: Vec<u64>,
    sum: f64,
}

/// Observes the time from its creation to its end in a histogram of seconds.
///
/// # Examples
/// ```
/// # use dynamo_metrics::registry::Registry;
/// # let registry = Registry::new();
/// let loads = registry.histogram("load_seconds", "Time to load a model.").register()?;
/// let timer = loads.start_timer();
/// // .. the work ..
/// timer.observe();
/// assert_eq!(loads.snapshot().count(), 1);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is observed unless the timer ends with `observe`"]
pub struct Timer {
    histogram: Histogram,
    start: Instant,
}

#[derive(Debug)]
struct Cells {
    /// A clone of the buckets', of the kind that the sum is: nothing stands between it and a sample.
    finder: Finder,
    buckets: Buckets,
    /// One column for each bound and one for `+Inf`; then the sum.
    run: Run,
    sum_column: usize,
    sum: Sum,
    invalid: Counter,
}

/// How the sum is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sum {
    /// As a floating-point number.
    Float,
    /// As whole nanoseconds, for histograms of seconds: nothing is lost, and adding is faster.
    Nanoseconds,
}

impl Histogram {
    pub(super) fn new(
        buckets: &Buckets,
        sum: Sum,
        invalid: &Counter,
    ) -> Result<Self, TooManyColumns> {
        let run = Run::take(buckets.bounds().len() + 2)?;
        let (buckets, invalid) = (buckets.clone(), invalid.clone());
        Ok(Self(Arc::new(Cells::new(buckets, run, sum, invalid))))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A histogram that nobody reads.
    pub(super) fn lost() -> Self {
        let (buckets, invalid) = (Buckets::default(), Counter::lost());
        let run = Run::lost(buckets.bounds().len() + 2);
        Self(Arc::new(Cells::new(buckets, run, Sum::Float, invalid)))
    }

    /// Counts one sample.
    #[inline]
    pub fn observe(&self, sample: f64) {
        self.observe_n(sample, 1);
    }

    /// Counts `n` equal samples, at the cost of one.
    #[inline]
    pub fn observe_n(&self, sample: f64, n: u64) {
        let cells = &*self.0;
        if !(sample.is_finite() && sample >= 0.0) {
            cells.invalid.inc_by(n);
        } else if n > 0 {
            match cells.sum {
                Sum::Float => {
                    let at = cells.finder.find(sample);
                    cells.run.add_both((at, n), (cells.sum_column, sample * n as f64));
                }
                Sum::Nanoseconds => cells.observe_nanoseconds(nanoseconds(sample), n),
            }
        }
    }

    /// Counts one duration, in seconds.
    #[inline]
    pub fn observe_duration(&self, sample: Duration) {
        match self.0.sum {
            Sum::Float => self.observe(sample.as_secs_f64()),
            Sum::Nanoseconds => {
                let whole = sample.as_secs().saturating_mul(1_000_000_000);
                let nanoseconds = whole.saturating_add(sample.subsec_nanos().into());
                self.0.observe_nanoseconds(nanoseconds, 1);
            }
        }
    }

    /// Starts to measure a duration.
    #[inline]
    pub fn start_timer(&self) -> Timer {
        Timer { histogram: self.clone(), start: clock::now() }
    }

    /// Reads the histogram.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut snapshot = HistogramSnapshot::default();
        self.read(&mut snapshot);
        snapshot
    }

    pub(super) fn read(&self, snapshot: &mut HistogramSnapshot) {
        let cells = &*self.0;
        if !snapshot.buckets.is(&cells.buckets) {
            snapshot.buckets = cells.buckets.clone();
        }
        cells.run.sums(cells.sum_column, &mut snapshot.counts);
        snapshot.sum = match cells.sum {
            Sum::Float => cells.run.sum_float(cells.sum_column),
            Sum::Nanoseconds => cells.run.sum(cells.sum_column) as f64 / NANOSECONDS,
        };
    }
}

impl Cells {
    fn new(buckets: Buckets, run: Run, sum: Sum, invalid: Counter) -> Self {
        let finder = match sum {
            Sum::Float => buckets.finder(),
            Sum::Nanoseconds => buckets.finder_of_nanoseconds(),
        };
        Self {
            finder: finder.clone(),
            sum_column: buckets.bounds().len() + 1,
            buckets,
            run,
            sum,
            invalid,
        }
    }

    #[inline]
    fn observe_nanoseconds(&self, sample: u64, n: u64) {
        // As a signed number, which is converted in one instruction; 292 years are enough.
        let at = self.finder.find(sample.min(i64::MAX.cast_unsigned()).cast_signed() as f64);
        // Past 584 years the sum wraps, which readers take for a reset.
        self.run.add_two((at, n), (self.sum_column, sample.wrapping_mul(n)));
    }
}

/// Seconds, which are finite and not negative, as nanoseconds.
#[inline]
fn nanoseconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let nanoseconds = (seconds * NANOSECONDS).round() as u64;
    nanoseconds
}

impl Timer {
    /// Observes the time since the timer was started, and returns it.
    #[expect(clippy::must_use_candidate, reason = "observing is the point, the time a bonus")]
    pub fn observe(self) -> Duration {
        let elapsed = self.start.elapsed();
        self.histogram.observe_duration(elapsed);
        elapsed
    }
}

impl HistogramSnapshot {
    /// The buckets' upper bounds, `+Inf` left out.
    #[must_use]
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
        self.counts.iter().sum()
    }

    /// The sum of all samples.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The value below which a share `q` of the samples lies, estimated within its bucket as
    /// Prometheus's `histogram_quantile` does; `None` if there is no sample.
    ///
    /// A quantile in the last bucket reads as that bucket's lower bound.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * total as f64;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    fn histogram(bounds: &[f64]) -> (Histogram, Counter) {
        let invalid = Counter::default();
        let buckets = Buckets::new(bounds.iter().copied()).unwrap();
        (Histogram::new(&buckets, Sum::Float, &invalid).unwrap(), invalid)
    }

    #[test]
    fn a_sample_on_a_bound_falls_below_it() {
        let (histogram, _) = histogram(&[1.0, 2.0]);
        for sample in [0.0, 1.0, 1.5, 2.0, 2.1] {
            histogram.observe(sample);
        }
        assert_eq!(histogram.snapshot().counts(), [2, 2, 1]);
        assert!((histogram.snapshot().sum() - 6.6).abs() < 1e-12);
    }

    #[test]
    fn senseless_samples_are_dropped_and_counted() {
        let (histogram, invalid) = histogram(&[1.0]);
        for sample in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1] {
            histogram.observe(sample);
        }
        assert_eq!((histogram.snapshot().count(), invalid.get()), (0, 4));
    }

    #[test]
    fn a_timer_observes_what_the_clock_says() {
        let (histogram, _) = histogram(&[1.0]);
        let time = Manual::new();
        time.run(|| {
            let timer = histogram.start_timer();
            time.advance(Duration::from_millis(250));
            assert_eq!(timer.observe(), Duration::from_millis(250));
        });
        assert!((histogram.snapshot().sum() - 0.25).abs() < f64::EPSILON);
    }

    #[test]
    fn quantiles_are_read_within_the_bucket() {
        let (histogram, _) = histogram(&[1.0, 2.0, 4.0]);
        assert_eq!(histogram.snapshot().quantile(0.5), None);
        histogram.observe_n(1.5, 10);
        assert_eq!(histogram.snapshot().quantile(0.5), Some(1.5));
        histogram.observe_n(100.0, 90);
        assert_eq!(histogram.snapshot().quantile(0.99), Some(4.0));
    }
}
