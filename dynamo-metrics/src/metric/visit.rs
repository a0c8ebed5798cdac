//! What a scrape sees: each family once, then its series.
//!
//! Metrics know no format. A format is a [`Visitor`], and [`Registry::gather`] drives it.
//!
//! [`Registry::gather`]: crate::registry::Registry::gather

use super::{HistogramSnapshot, MetricKind};
use crate::unit::Unit;

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
    /// The labels, sorted by name, as both text formats write them: `a="x",b="y"`, with `\`, `"`
    /// and line feeds escaped. Empty if there are none.
    pub labels: &'a str,
    /// The value at the time of the visit.
    pub value: Value<'a>,
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
