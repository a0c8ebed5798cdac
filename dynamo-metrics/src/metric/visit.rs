//! What a scrape sees: each family once, then its series.
//!
//! Metrics know no format. A format is a [`Visitor`], and [`Registry::gather`] drives it.
//!
//! [`Registry::gather`]: crate::registry::Registry::gather

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::foreign::{self, Histogram, Summary};
use super::{Exemplar, HistogramSnapshot, MetricKind};
use crate::label::{self, write_pair};

/// A family: what all series of one name have in common.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family<'a> {
    /// The exposed name, with its `_total` or `_info` if it has one.
    pub name: &'a str,
    /// What the metric says, for people.
    pub help: &'a str,
    /// The unit that the name ends in, if it was declared.
    pub unit: Option<&'a str>,
    /// What the metric is.
    pub kind: MetricKind,
}

/// A number as it was kept: whole numbers stay whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A whole number.
    Signed(i64),
    /// Any other number.
    Float(f64),
}

/// The value of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A counter's total.
    Counter(Number),
    /// A gauge's level.
    Gauge(Number),
    /// A histogram's samples.
    Histogram(&'a HistogramSnapshot),
    /// An info metric; its labels are what it says.
    Info,
    /// Whether a state of a state set is on; the label named as the family tells which.
    State(bool),
    /// A number of which it is not told what it is.
    Unknown(Number),
    /// Quantiles that somebody else keeps.
    Summary(&'a Summary),
    /// Buckets that somebody else keeps, of a histogram or a gauge histogram.
    Buckets(&'a Histogram),
}

/// One series: its labels and its value.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Series<'a> {
    /// The labels.
    pub labels: Labels<'a>,
    /// The value at the time of the visit.
    pub value: Value<'a>,
    /// When it began to count, in milliseconds since 1970, if that is known.
    pub created: Option<u64>,
    /// The exemplars, which few series have.
    pub exemplars: Exemplars<'a>,
}

/// The labels of a series, sorted by name.
#[derive(Clone, Copy)]
pub struct Labels<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// As they were rendered when the series was made.
    Own(&'a label::Labels),
    /// The same, and one more.
    With(&'a label::Labels, (&'a str, &'a str)),
    /// Two lists, each sorted; of a name in both, the first one's value counts.
    Foreign(Pairs<'a>, Pairs<'a>),
}

type Pairs<'a> = &'a [(String, String)];

/// The exemplars of a series.
#[derive(Debug, Clone, Copy)]
pub struct Exemplars<'a>(Kept<'a>);

#[derive(Debug, Clone, Copy)]
enum Kept<'a> {
    Own(Option<&'a super::exemplar::Exemplars>),
    Foreign(&'a [foreign::Exemplar]),
}

impl<'a> Series<'a> {
    /// A series that somebody else keeps, under these labels.
    pub(crate) fn foreign(
        kind: MetricKind,
        series: &'a foreign::Series,
        labels: Labels<'a>,
    ) -> Self {
        let value = match (&series.value, kind) {
            (foreign::Value::Number(value), MetricKind::Counter) => Value::Counter((*value).into()),
            (foreign::Value::Number(_), MetricKind::Info) => Value::Info,
            (foreign::Value::Number(value), MetricKind::StateSet) => Value::State(*value > 0.0),
            (foreign::Value::Number(value), MetricKind::Gauge) => Value::Gauge((*value).into()),
            (foreign::Value::Number(value), _) => Value::Unknown((*value).into()),
            (foreign::Value::Histogram(histogram), _) => Value::Buckets(histogram),
            (foreign::Value::Summary(summary), _) => Value::Summary(summary),
        };
        Self {
            labels,
            value,
            created: series.created.and_then(foreign::milliseconds),
            exemplars: Exemplars(Kept::Foreign(&series.exemplars)),
        }
    }
}

impl<'a> Labels<'a> {
    pub(super) fn of(labels: &'a label::Labels, more: Option<(&'a str, &'a str)>) -> Self {
        Self(match more {
            None => Source::Own(labels),
            Some(more) => Source::With(labels, more),
        })
    }

    /// Labels of two lists, each sorted; of a name in both, the first one's value counts.
    pub(crate) fn foreign(labels: Pairs<'a>, more: Pairs<'a>) -> Self {
        Self(Source::Foreign(labels, more))
    }

    /// Whether somebody else keeps the series.
    pub(crate) fn are_foreign(&self) -> bool {
        matches!(self.0, Source::Foreign(..))
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let (own, more): (Option<_>, [Pairs<'a>; 2]) = match self.0 {
            Source::Own(labels) | Source::With(labels, _) => (Some(labels.iter()), [&[], &[]]),
            Source::Foreign(some, others) => (None, [some, others]),
        };
        let one = match self.0 {
            Source::With(_, (name, value)) => Some((name, Cow::Borrowed(value))),
            _ => None,
        };
        let [some, others] =
            more.map(|pairs| pairs.iter().map(|(name, value)| (&**name, Cow::Borrowed(&**value))));
        merge(own.into_iter().flatten().chain(some), one.into_iter().chain(others))
    }

    /// The value of one label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Appends them as both text formats write them: `a="x",b="y"`, with `\\`, `"` and line feeds
    /// escaped.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if let Source::Own(labels) = self.0 {
            return labels.write_to(out);
        }
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_pair(out, name, &value);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Source::Own(labels) => labels.is_empty(),
            Source::With(..) => false,
            Source::Foreign(some, others) => some.is_empty() && others.is_empty(),
        }
    }
}

/// Two sorted lists as one; of a name in both, the first one's value counts.
fn merge<'a, V>(
    one: impl Iterator<Item = (&'a str, V)>,
    other: impl Iterator<Item = (&'a str, V)>,
) -> impl Iterator<Item = (&'a str, V)> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((a, _)), Some((b, _))) if b < a => other.next(),
        (Some((a, _)), Some((b, _))) => {
            if a == b {
                other.next();
            }
            one.next()
        }
        (Some(_), None) => one.next(),
        (None, _) => other.next(),
    })
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> Exemplars<'a> {
    pub(super) fn of(kept: Option<&'a super::exemplar::Exemplars>) -> Self {
        Self(Kept::Own(kept))
    }

    /// The exemplar of a counter.
    #[must_use]
    pub fn counter(&self) -> Option<Arc<Exemplar>> {
        match self.0 {
            Kept::Own(kept) => kept?.get(0),
            Kept::Foreign(told) => told.first().map(Exemplar::told),
        }
    }

    /// The exemplar of a histogram's bucket, in the order of [`HistogramSnapshot::counts`].
    #[must_use]
    pub fn bucket(&self, bucket: usize) -> Option<Arc<Exemplar>> {
        match self.0 {
            Kept::Own(kept) => kept?.get(bucket),
            Kept::Foreign(_) => None,
        }
    }

    /// The exemplars that somebody else keeps whose samples lie above one bound, and not above the
    /// other.
    pub fn between(&self, low: f64, high: f64) -> impl Iterator<Item = Arc<Exemplar>> + use<'a> {
        let told = match self.0 {
            Kept::Own(_) => &[],
            Kept::Foreign(told) => told,
        };
        let fits = move |value: f64| value > low && value <= high;
        told.iter().filter(move |exemplar| fits(exemplar.value)).map(Exemplar::told)
    }

    /// Whether there can be none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self.0 {
            Kept::Own(kept) => kept.is_none(),
            Kept::Foreign(told) => told.is_empty(),
        }
    }
}

/// Sees the families of a registry in the order of their names, each once and with its series.
pub trait Visitor {
    /// A family begins; it has at least one series.
    fn family(&mut self, family: &Family<'_>);
    /// A series of the family that began last.
    fn series(&mut self, series: &Series<'_>);
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
