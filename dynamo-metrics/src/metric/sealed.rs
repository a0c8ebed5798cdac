//! What the registry must know of a metric, out of users' sight.

use std::sync::Arc;

use super::series::Series;
use super::visit::Visitor;
use super::{Buckets, Counter, HistogramSnapshot, MetricKind};
use crate::cell::TooManyColumns;
use crate::unit::Unit;

/// What a metric is, for those who write it: kinds that look alike outside differ in their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// The public type of this name.
    Counter,
    /// The public type of this name.
    FloatCounter,
    /// The public type of this name.
    Gauge,
    /// The public type of this name.
    FloatGauge,
    /// The public type of this name.
    UpDownCounter,
    /// The public type of this name.
    Total,
    /// The public type of this name.
    Histogram,
    /// The public type of this name.
    Info,
    /// The public type of this name.
    StateSet,
}

/// What a metric is made by.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) unit: Option<Unit>,
    pub(crate) buckets: Buckets,
    /// Counts samples that make no sense.
    pub(crate) invalid: Counter,
    /// Whether it keeps exemplars.
    pub(crate) exemplars: bool,
}

impl Default for Plan {
    /// Neither unit nor exemplars, and nobody sees what is invalid.
    fn default() -> Self {
        let (unit, buckets, exemplars) = (None, Buckets::default(), false);
        Self { unit, buckets, invalid: Sealed::lost(), exemplars }
    }
}

/// Where a metric is shown.
pub struct Stage<'a> {
    /// The family's name.
    pub(crate) family: &'a str,
    /// What a histogram is read into, so that a walk allocates once and not for each.
    pub(crate) scratch: &'a mut HistogramSnapshot,
    pub(crate) visitor: &'a mut dyn Visitor,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("family", &self.family).finish_non_exhaustive()
    }
}

/// What makes a type a metric.
pub trait Sealed: Handle {
    /// Which metric it is.
    const TYPE: MetricType;

    /// Its states, if it is a state set.
    const STATES: &'static [&'static str] = &[];

    /// A metric that nobody reads, for where recording cannot fail.
    fn lost() -> Self;

    /// A value at zero.
    fn make(plan: &Plan) -> Result<Self::Value, TooManyColumns>;

    /// Shows the metric.
    fn show(series: &Series<Self::Value>, at: &mut Stage<'_>);

    /// Something that changes when the metric is recorded to.
    fn digest(series: &Series<Self::Value>) -> u64;
}

/// A handle, and what it points to.
pub trait Handle: Sized {
    /// What the handle shares with its clones.
    type Value: std::fmt::Debug + Send + Sync + 'static;

    /// A handle of `series`.
    fn of(series: Arc<Series<Self::Value>>) -> Self;
    /// What it points to.
    fn series(&self) -> &Arc<Series<Self::Value>>;
}

impl MetricType {
    pub(crate) const fn kind(self) -> MetricKind {
        match self {
            Self::Counter | Self::FloatCounter | Self::Total => MetricKind::Counter,
            Self::Gauge | Self::FloatGauge | Self::UpDownCounter => MetricKind::Gauge,
            Self::Histogram => MetricKind::Histogram,
            Self::Info => MetricKind::Info,
            Self::StateSet => MetricKind::StateSet,
        }
    }
}
