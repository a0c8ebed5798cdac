//! Exemplars: for a counter or a bucket, one sample that a trace can be found by.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::foreign;
use crate::clock;
use crate::name::{LabelNameError, check_label};

/// Most characters of an exemplar's label names and values together, by OpenMetrics.
const MOST_CHARACTERS: usize = 128;

/// An exemplar is not replaced by another one sooner than this, in milliseconds.
const AGE: u64 = 1_000;

/// A sample that was kept, with labels that lead to where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    labels: ExemplarLabels,
    value: f64,
    time: Option<u64>,
}

/// The labels of an exemplar; a trace's identifiers, mostly.
///
/// # Examples
/// ```
/// use dynamo_metrics::metric::{ExemplarError, ExemplarLabels};
///
/// let labels = ExemplarLabels::new([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")])?;
/// assert_eq!(labels.iter().next(), Some(("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")));
/// let long = "x".repeat(130);
/// assert!(matches!(ExemplarLabels::new([("k", &*long)]), Err(ExemplarError::TooLong(131))));
/// # Ok::<(), ExemplarError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemplarLabels(Arc<[(Box<str>, Box<str>)]>);

/// Why labels cannot be an exemplar's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExemplarError {
    /// Names and values together have more than 128 characters.
    #[error("{0} characters in an exemplar's labels, more than 128")]
    TooLong(usize),
    /// A label's name breaks the grammar, is reserved, or stands twice.
    #[error("invalid label")]
    Label(#[from] LabelNameError),
}

/// The trace that the current thread works for, from which metrics with exemplars take theirs.
///
/// # Examples
/// ```
/// use dynamo_metrics::metric::TraceContext;
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// let waits = registry.histogram("wait_seconds", "").buckets([1.0]).exemplars().register()?;
/// let trace = TraceContext::new(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa, true);
/// {
///     let _entered = trace.enter();
///     waits.observe(0.5);
/// }
/// assert_eq!(TraceContext::current(), None);
/// assert_eq!(waits.exemplar(0).map(|exemplar| exemplar.value()), Some(0.5));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

/// Leaves the trace, for the one before, when it is dropped.
#[derive(Debug)]
#[must_use = "the trace is left when this is dropped"]
pub struct EnteredTrace {
    before: Option<TraceContext>,
    /// It belongs to the thread that entered.
    thread: PhantomData<*const ()>,
}

/// The exemplars of a series: one for a counter, one for each bucket of a histogram.
#[derive(Debug)]
pub(super) struct Exemplars(Box<[Slot]>);

#[derive(Debug, Default)]
struct Slot {
    /// When it was last filled, in milliseconds since 1970.
    filled: AtomicU64,
    kept: ArcSwapOption<Exemplar>,
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

impl ExemplarLabels {
    /// Checks `labels`.
    ///
    /// # Errors
    /// [`ExemplarError`]: a name that is none, or more than 128 characters altogether.
    pub fn new<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ExemplarError> {
        let labels: Arc<[(Box<str>, Box<str>)]> =
            labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut length = 0;
        for (i, (name, value)) in labels.iter().enumerate() {
            check_label(name)?;
            if labels[..i].iter().any(|(before, _)| before == name) {
                return Err(LabelNameError::Repeated(name.to_string()).into());
            }
            length += name.chars().count() + value.chars().count();
        }
        if length > MOST_CHARACTERS {
            return Err(ExemplarError::TooLong(length));
        }
        Ok(Self(labels))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl Exemplar {
    /// One that somebody else keeps.
    pub(super) fn told(exemplar: &foreign::Exemplar) -> Arc<Self> {
        let labels = exemplar.labels.iter();
        let labels = labels.map(|(name, value)| (name.as_str().into(), value.as_str().into()));
        Arc::new(Self {
            labels: ExemplarLabels(labels.collect()),
            value: exemplar.value,
            time: exemplar.timestamp.and_then(foreign::milliseconds),
        })
    }

    /// Names and values of the labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter()
    }

    /// The sample: what was observed, or added to the counter.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// When it was recorded, in milliseconds since 1970, if that is known.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        self.time
    }
}

impl TraceContext {
    /// A trace and the span within it, as W3C's `traceparent` has them.
    #[must_use]
    pub const fn new(trace_id: u128, span_id: u64, sampled: bool) -> Self {
        Self { trace_id, span_id, sampled }
    }

    /// Makes it the current thread's until the guard is dropped.
    pub fn enter(self) -> EnteredTrace {
        EnteredTrace { before: CURRENT.replace(Some(self)), thread: PhantomData }
    }

    /// The current thread's.
    #[must_use]
    pub fn current() -> Option<Self> {
        // None is left of it while a thread ends.
        CURRENT.try_with(Cell::get).ok().flatten()
    }

    fn labels(self) -> ExemplarLabels {
        let (trace, span) = (format!("{:032x}", self.trace_id), format!("{:016x}", self.span_id));
        ExemplarLabels(Arc::new([
            ("trace_id".into(), trace.into()),
            ("span_id".into(), span.into()),
        ]))
    }
}

impl Drop for EnteredTrace {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

impl Exemplars {
    pub(super) fn new(slots: usize) -> Self {
        Self((0..slots).map(|_| Slot::default()).collect())
    }

    /// Keeps a sample of the current trace, if that is sampled.
    pub(super) fn offer(&self, slot: usize, value: f64) {
        if let Some(trace) = TraceContext::current().filter(|trace| trace.sampled) {
            self.keep(slot, value, || trace.labels());
        }
    }

    /// Keeps a sample, unless another one came less than a second ago.
    pub(super) fn keep(&self, slot: usize, value: f64, labels: impl FnOnce() -> ExemplarLabels) {
        let Some(slot) = self.0.get(slot) else { return };
        let (time, filled) = (clock::unix_milliseconds(), slot.filled.load(Ordering::Relaxed));
        if filled != 0 && time < filled.saturating_add(AGE) && filled <= time {
            return;
        }
        // Whoever is second leaves it to the first.
        let mine = slot.filled.compare_exchange(filled, time, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            slot.kept.store(Some(Arc::new(Exemplar { labels: labels(), value, time: Some(time) })));
        }
    }

    pub(super) fn get(&self, slot: usize) -> Option<Arc<Exemplar>> {
        self.0.get(slot)?.kept.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(trace: &str) -> ExemplarLabels {
        ExemplarLabels::new([("trace_id", trace)]).unwrap()
    }

    #[test]
    fn labels_are_checked() {
        assert!(ExemplarLabels::new([("a", &*"é".repeat(127))]).is_ok());
        let long = ExemplarLabels::new([("a", &*"é".repeat(128))]);
        assert_eq!(long, Err(ExemplarError::TooLong(129)));
        let twice = ExemplarLabels::new([("a", "1"), ("a", "2")]);
        assert_eq!(twice, Err(LabelNameError::Repeated("a".into()).into()));
        assert!(ExemplarLabels::new([("0", "1")]).is_err());
    }

    #[test]
    fn the_first_one_of_a_second_is_kept() {
        let exemplars = Exemplars::new(2);
        exemplars.keep(0, 1.0, || labels("a"));
        exemplars.keep(0, 2.0, || labels("b"));
        exemplars.keep(1, 3.0, || labels("c"));
        assert!(exemplars.get(0).is_some_and(|it| it.labels == labels("a")));
        assert!(exemplars.get(1).is_some_and(|it| it.labels == labels("c")));
        exemplars.0[0].filled.fetch_sub(AGE, Ordering::Relaxed);
        exemplars.keep(0, 4.0, || labels("d"));
        assert!(exemplars.get(0).is_some_and(|it| it.labels == labels("d")));
        // A slot that there is not takes nothing.
        exemplars.keep(2, 5.0, || labels("e"));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_one_for_ever() {
        let exemplars = Exemplars::new(1);
        exemplars.keep(0, 1.0, || labels("a"));
        exemplars.0[0].filled.fetch_add(1_000_000, Ordering::Relaxed);
        exemplars.keep(0, 2.0, || labels("b"));
        assert!(exemplars.get(0).is_some_and(|it| it.labels == labels("b")));
    }

    #[test]
    fn only_sampled_traces_leave_exemplars() {
        let exemplars = Exemplars::new(1);
        exemplars.offer(0, 1.0);
        {
            let _outer = TraceContext::new(1, 2, false).enter();
            exemplars.offer(0, 1.0);
            assert_eq!(exemplars.get(0), None);
            let _inner = TraceContext::new(0xAB, 0xC, true).enter();
            exemplars.offer(0, 1.0);
        }
        let kept = exemplars.get(0).unwrap();
        let expected =
            [("trace_id", format!("{:032x}", 0xAB)), ("span_id", format!("{:016x}", 0xC))];
        assert!(kept.labels().eq(expected.iter().map(|(name, value)| (*name, value.as_str()))));
        assert_eq!(TraceContext::current(), None);
    }
}
