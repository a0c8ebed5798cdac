//! The metrics: handles that record, and the shape in which a scrape sees them.
//!
//! A handle is cheap to clone, and clones share one value. Recording takes no lock, allocates
//! nothing, and cannot fail: a sample that makes no sense (NaN, a negative duration) is dropped and
//! counted in `dynamo_metrics_invalid_samples_total`.

mod buckets;
mod counter;
mod finder;
mod gauge;
mod histogram;
pub mod visit;

use std::fmt;

pub use buckets::{Buckets, BucketsError};
pub use counter::{Counter, FloatCounter};
pub use gauge::{FloatGauge, Gauge, InFlight, UpDownCounter};
pub use histogram::{Histogram, HistogramSnapshot, Timer};

use histogram::Sum;
use visit::Value;

use crate::cell::TooManyColumns;
use crate::unit::Unit;

/// What a metric is, for those who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// A value that only goes up, from zero at its creation.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Samples counted in buckets.
    Histogram,
}

/// A metric of any type, as the registry keeps it.
#[derive(Debug, Clone)]
pub(crate) enum AnyMetric {
    Counter(Counter),
    FloatCounter(FloatCounter),
    Gauge(Gauge),
    FloatGauge(FloatGauge),
    UpDownCounter(UpDownCounter),
    Histogram(Histogram),
}

/// What a metric is, for those who write it: kinds that look alike outside differ in their steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricType {
    Counter,
    FloatCounter,
    Gauge,
    FloatGauge,
    UpDownCounter,
    Histogram,
}

/// A metric type that a registry can make: [`Counter`], [`FloatCounter`], [`Gauge`],
/// [`FloatGauge`], [`UpDownCounter`] or [`Histogram`].
pub trait Metric: sealed::Sealed + Clone + fmt::Debug + Send + Sync + 'static {}

/// What the registry must know of a metric, out of users' sight.
pub(crate) mod sealed {
    use super::{AnyMetric, MetricType};

    pub trait Sealed: Sized {
        #[expect(private_interfaces, reason = "the trait is sealed")]
        const TYPE: MetricType;

        /// A metric that nobody reads, for where recording cannot fail.
        fn lost() -> Self;

        /// The metric in `any`, if it is of this type.
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn peek(any: &AnyMetric) -> Option<&Self>;

        /// A clone of the metric in `any`. A family holds metrics of one type, so another one is not
        /// met; it would give a metric that nobody sees, as recording cannot fail.
        #[expect(private_interfaces, reason = "the trait is sealed")]
        fn from_any(any: &AnyMetric) -> Self
        where
            Self: Clone,
        {
            Self::peek(any).cloned().unwrap_or_else(Self::lost)
        }
    }
}

impl MetricKind {
    /// The kind as the text formats write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl MetricType {
    pub(crate) const fn kind(self) -> MetricKind {
        match self {
            Self::Counter | Self::FloatCounter => MetricKind::Counter,
            Self::Gauge | Self::FloatGauge | Self::UpDownCounter => MetricKind::Gauge,
            Self::Histogram => MetricKind::Histogram,
        }
    }
}

impl AnyMetric {
    /// Makes a metric at zero; samples that make no sense are counted in `invalid`.
    pub(crate) fn new(
        metric_type: MetricType,
        unit: Option<Unit>,
        buckets: &Buckets,
        invalid: &Counter,
    ) -> Result<Self, TooManyColumns> {
        Ok(match metric_type {
            MetricType::Counter => Self::Counter(Counter::new()?),
            MetricType::FloatCounter => Self::FloatCounter(FloatCounter::new(invalid)?),
            MetricType::Gauge => Self::Gauge(Gauge::new()),
            MetricType::FloatGauge => Self::FloatGauge(FloatGauge::new()),
            MetricType::UpDownCounter => Self::UpDownCounter(UpDownCounter::new()?),
            MetricType::Histogram => {
                let sum = if unit == Some(Unit::Seconds) { Sum::Nanoseconds } else { Sum::Float };
                Self::Histogram(Histogram::new(buckets, sum, invalid)?)
            }
        })
    }

    /// Whether both are handles of one metric.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Counter(a), Self::Counter(b)) => a.is(b),
            (Self::FloatCounter(a), Self::FloatCounter(b)) => a.is(b),
            (Self::Gauge(a), Self::Gauge(b)) => a.is(b),
            (Self::FloatGauge(a), Self::FloatGauge(b)) => a.is(b),
            (Self::UpDownCounter(a), Self::UpDownCounter(b)) => a.is(b),
            (Self::Histogram(a), Self::Histogram(b)) => a.is(b),
            _ => false,
        }
    }

    /// Reads the metric; a histogram into `scratch`, so that a walk allocates once and not for each.
    pub(crate) fn value<'a>(&self, scratch: &'a mut HistogramSnapshot) -> Value<'a> {
        match self {
            Self::Counter(metric) => Value::Counter(metric.get().into()),
            Self::FloatCounter(metric) => Value::Counter(metric.get().into()),
            Self::Gauge(metric) => Value::Gauge(metric.get().into()),
            Self::FloatGauge(metric) => Value::Gauge(metric.get().into()),
            Self::UpDownCounter(metric) => Value::Gauge(metric.get().into()),
            Self::Histogram(metric) => {
                metric.read(scratch);
                Value::Histogram(scratch)
            }
        }
    }
}

/// Ties a metric type to its place in [`AnyMetric`].
macro_rules! metric {
    ($($type:ident: $lost:expr,)*) => {$(
        impl Metric for $type {}

        impl sealed::Sealed for $type {
            #[expect(private_interfaces, reason = "the trait is sealed")]
            const TYPE: MetricType = MetricType::$type;

            fn lost() -> Self {
                $lost
            }

            #[expect(private_interfaces, reason = "the trait is sealed")]
            fn peek(any: &AnyMetric) -> Option<&Self> {
                match any {
                    AnyMetric::$type(metric) => Some(metric),
                    _ => None,
                }
            }
        }
    )*};
}

metric! {
    Counter: Self::lost(),
    FloatCounter: Self::lost(),
    Gauge: Self::new(),
    FloatGauge: Self::new(),
    UpDownCounter: Self::lost(),
    Histogram: Self::lost(),
}
