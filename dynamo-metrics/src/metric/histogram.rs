//! Histograms: samples counted in buckets.

use std::sync::Arc;
use std::time::Duration;

use super::exemplar::{Exemplar, ExemplarLabels};
use super::finder::Finder;
use super::layout::Layout;
use super::sealed::{Sealed, Stage};
use super::series::Series;
use super::visit::Value;
use super::{Buckets, Counter, HistogramSnapshot, MetricType, Plan};
use crate::cell::{Run, TooManyColumns};
use crate::clock::{self, Instant, NANOSECONDS, Nanoseconds};
use crate::unit::Unit;

/// Samples counted in buckets, with their sum.
///
/// Samples that are negative, infinite or not a number are dropped and counted; where the unit is
/// seconds, so is what is longer than 292 years. There the sum is kept in whole nanoseconds, and
/// starts again from zero past 584 years.
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
pub struct Histogram(pub(super) Arc<Series<Cells>>);

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

/// The value of a [`Histogram`].
#[derive(Debug)]
pub struct Cells {
    /// A clone of the layout's: nothing stands between it and a sample.
    finder: Finder,
    buckets: Buckets,
    /// The columns of the layout, then the sum.
    run: Run,
    sum_column: usize,
    sum: Sum,
    invalid: Counter,
}

/// How the sum is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sum {
    /// As a floating-point number.
    Float,
    /// As whole nanoseconds, for histograms of seconds: nothing is lost, and adding is faster.
    Nanoseconds,
}

impl Histogram {
    /// Counts one sample.
    #[inline]
    pub fn observe(&self, sample: f64) {
        self.observe_n(sample, 1);
    }

    /// Counts `n` equal samples, at the cost of one.
    #[inline]
    pub fn observe_n(&self, sample: f64, n: u64) {
        if let Some(column) = self.0.value.observe(sample, n)
            && self.0.exemplars.is_some()
        {
            self.offer(column, sample);
        }
    }

    /// Counts one sample, and keeps it as its bucket's exemplar, unless one came less than a second
    /// ago or the histogram was registered without
    /// [`exemplars`](crate::registry::MetricBuilder::exemplars).
    pub fn observe_with_exemplar(&self, sample: f64, labels: &ExemplarLabels) {
        if let Some(column) = self.0.value.observe(sample, 1)
            && let Some(exemplars) = &self.0.exemplars
        {
            exemplars.keep(self.0.value.bucket(column), sample, || labels.clone());
        }
    }

    /// Counts one duration, in seconds.
    #[inline]
    pub fn observe_duration(&self, sample: Duration) {
        match self.0.value.sum {
            Sum::Float => self.observe(sample.as_secs_f64()),
            Sum::Nanoseconds => self.observe_span(sample.into()),
        }
    }

    /// Counts one span of time, in seconds.
    #[inline]
    pub(crate) fn observe_span(&self, sample: Nanoseconds) {
        if self.0.value.sum == Sum::Nanoseconds && self.0.exemplars.is_none() {
            self.0.value.observe_nanoseconds(sample.0, 1);
        } else {
            self.observe_span_or_keep(sample);
        }
    }

    /// The same for what is no histogram of seconds, and for what may be kept as an exemplar.
    #[inline(never)]
    fn observe_span_or_keep(&self, sample: Nanoseconds) {
        if self.0.value.sum == Sum::Float {
            return self.observe(sample.as_seconds());
        }
        if let Some(column) = self.0.value.observe_nanoseconds(sample.0, 1) {
            self.offer(column, sample.as_seconds());
        }
    }

    /// A sample that fell into this column may be its bucket's exemplar.
    #[inline(never)]
    fn offer(&self, column: usize, sample: f64) {
        if let Some(exemplars) = &self.0.exemplars {
            exemplars.offer(self.0.value.bucket(column), sample);
        }
    }

    /// The exemplar of a bucket, if there is one; buckets are in the order of
    /// [`HistogramSnapshot::counts`].
    #[must_use]
    pub fn exemplar(&self, bucket: usize) -> Option<Arc<Exemplar>> {
        self.0.exemplars.as_ref()?.get(bucket)
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
        self.0.value.read(&mut snapshot);
        snapshot
    }
}

impl Sum {
    fn layout(self, buckets: &Buckets) -> &Layout {
        match self {
            Self::Float => buckets.layout(),
            Self::Nanoseconds => buckets.layout_of_nanoseconds(),
        }
    }
}

impl Cells {
    fn new(
        buckets: &Buckets,
        sum: Sum,
        invalid: &Counter,
        take: impl FnOnce(usize) -> Result<Run, TooManyColumns>,
    ) -> Result<Self, TooManyColumns> {
        let layout = sum.layout(buckets);
        let sum_column = layout.columns();
        Ok(Self {
            finder: layout.finder().clone(),
            sum_column,
            run: take(sum_column + 1)?,
            buckets: buckets.clone(),
            sum,
            invalid: invalid.clone(),
        })
    }

    /// Counts `n` equal samples; returns their column, if they count.
    #[inline]
    fn observe(&self, sample: f64, n: u64) -> Option<usize> {
        if !(sample.is_finite() && sample >= 0.0) {
            return self.drop_invalid(n);
        }
        if n == 0 {
            return None;
        }
        match self.sum {
            Sum::Float => {
                let at = self.finder.find(sample);
                self.run.add_both((at, n), (self.sum_column, sample * n as f64));
                Some(at)
            }
            Sum::Nanoseconds => self.observe_nanoseconds(nanoseconds(sample), n),
        }
    }

    #[inline]
    fn observe_nanoseconds(&self, sample: u64, n: u64) -> Option<usize> {
        // As a signed number, which is converted in one instruction.
        let signed = sample.cast_signed();
        if signed < 0 {
            // 292 years are no time that anybody measured, and two of them all that a sum holds.
            return self.drop_invalid(n);
        }
        let at = self.finder.find(signed as f64);
        // Past 584 years the sum wraps, which readers take for a reset.
        self.run.add_two((at, n), (self.sum_column, sample.wrapping_mul(n)));
        Some(at)
    }

    #[cold]
    fn drop_invalid(&self, n: u64) -> Option<usize> {
        self.invalid.inc_by(n);
        None
    }

    fn read(&self, snapshot: &mut HistogramSnapshot) {
        let sum = match self.sum {
            Sum::Float => self.run.sum_float(self.sum_column),
            Sum::Nanoseconds => self.run.sum(self.sum_column) as f64 / NANOSECONDS,
        };
        snapshot.fill(&self.buckets, self.sum.layout(&self.buckets), sum, |columns| {
            self.run.sums(self.sum_column, columns);
        });
    }

    /// The classic bucket of what a column counts.
    fn bucket(&self, column: usize) -> usize {
        self.sum.layout(&self.buckets).bucket(column)
    }
}

impl Sealed for Histogram {
    const TYPE: MetricType = MetricType::Histogram;

    fn lost() -> Self {
        let take = |len| Ok(Run::lost(len));
        let made = Cells::new(&Buckets::default(), Sum::Float, &Counter::lost(), take);
        // Taking columns that nobody reads does not fail.
        made.map_or_else(|TooManyColumns| Self::lost(), |cells| Self(Series::alone(cells)))
    }

    fn make(plan: &Plan) -> Result<Cells, TooManyColumns> {
        let seconds = plan.unit == Some(Unit::Seconds);
        let sum = if seconds { Sum::Nanoseconds } else { Sum::Float };
        Cells::new(&plan.buckets, sum, &plan.invalid, Run::take)
    }

    fn show(series: &Series<Cells>, at: &mut Stage<'_>) {
        series.value.read(at.scratch);
        series.show(Value::Histogram(at.scratch), at.visitor);
    }

    fn digest(series: &Series<Cells>) -> u64 {
        let cells = &series.value;
        (0..cells.sum_column).fold(0, |sum, column| sum.wrapping_add(cells.run.sum(column)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    fn histogram(bounds: &[f64]) -> (Histogram, Counter) {
        let invalid = Counter::default();
        let buckets = Buckets::new(bounds.iter().copied()).unwrap();
        let plan = Plan { buckets, invalid: invalid.clone(), ..Plan::default() };
        (Histogram(Series::alone(Histogram::make(&plan).unwrap())), invalid)
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
