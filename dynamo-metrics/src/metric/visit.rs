//! What a scrape sees: each family once, then its series.
//!
//! Metrics know no format. A format is a [`Visitor`], and [`Registry::gather`] drives it.
//!
//! [`Registry::gather`]: crate::registry::Registry::gather

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{Exemplar, HistogramSnapshot, Metric, MetricKind};
use crate::unit::Unit;
use crate::{label, metric};

/// A family: what all series of one name have in common.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family<'a> {
    /// The exposed name, with `_total` if it has one.
    pub name: &'a str,
    /// What the metric says, for people.
    pub help: &'a str,
    /// The unit that the name ends in, if it was declared.
    pub unit: Option<Unit>,
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
}

/// One series: its labels and its value.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Series<'a> {
    /// The labels.
    pub labels: Labels<'a>,
    /// The value at the time of the visit.
    pub value: Value<'a>,
    /// When the series was made, in milliseconds since 1970.
    pub created: u64,
    /// The exemplars, which few series have.
    pub exemplars: Exemplars<'a>,
}

/// The labels of a series, sorted by name.
#[derive(Clone, Copy)]
pub struct Labels<'a>(&'a label::Labels);

/// The exemplars of a series.
#[derive(Debug, Clone, Copy)]
pub struct Exemplars<'a>(Option<&'a super::Exemplars>);

impl<'a> Series<'a> {
    pub(crate) fn of<M: Metric>(
        series: &'a metric::Series<M::Value>,
        scratch: &'a mut HistogramSnapshot,
    ) -> Self {
        Self {
            labels: Labels(&series.labels),
            value: M::value(series, scratch),
            created: series.created(),
            exemplars: Exemplars(series.exemplars.as_deref()),
        }
    }
}

impl<'a> Labels<'a> {
    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        self.0.iter()
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
        self.0.write_to(out);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Exemplars<'_> {
    /// The exemplar of a counter.
    #[must_use]
    pub fn counter(&self) -> Option<Arc<Exemplar>> {
        self.bucket(0)
    }

    /// The exemplar of a histogram's bucket, in the order of [`HistogramSnapshot::counts`].
    #[must_use]
    pub fn bucket(&self, bucket: usize) -> Option<Arc<Exemplar>> {
        self.0?.get(bucket)
    }

    /// Whether there can be none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
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
