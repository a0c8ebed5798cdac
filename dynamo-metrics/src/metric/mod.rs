//! The metrics: handles that record, and the shape in which a scrape sees them.
//!
//! A handle is cheap to clone, and clones share one value. Recording takes no lock, allocates
//! nothing, and cannot fail: a sample that makes no sense (NaN, a negative duration) is dropped and
//! counted in `dynamo_metrics_invalid_samples_total`.

mod buckets;
mod counter;
mod exemplar;
mod finder;
pub(crate) mod foreign;
mod gauge;
mod histogram;
mod info;
mod layout;
mod native;
mod sealed;
mod series;
mod snapshot;
mod state_set;
mod total;
pub mod visit;

use std::fmt;
use std::sync::Arc;

pub use buckets::{Buckets, BucketsError};
pub use counter::{Counter, FloatCounter};
pub use exemplar::{EnteredTrace, Exemplar, ExemplarError, ExemplarLabels, TraceContext};
pub use gauge::{FloatGauge, Gauge, InFlight, UpDownCounter};
pub use histogram::{Histogram, Timer};
pub use info::Info;
pub use native::NativeBuckets;
pub(crate) use sealed::{MetricType, Plan, Stage};
pub(crate) use series::Series;
pub use snapshot::{HistogramSnapshot, NativeSnapshot};
pub use state_set::StateSet;
pub use total::Total;

use exemplar::Exemplars;

use crate::cell::TooManyColumns;
use crate::label::Labels;

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
    /// Facts, told by labels; the value is 1.
    Info,
    /// States that are on or off, each a value of the label named as the family.
    StateSet,
    /// Quantiles of samples. Others' alone: quantiles cannot be added up.
    Summary,
    /// Things that are there now, counted in buckets. Others' alone.
    GaugeHistogram,
    /// Not told. Others' alone.
    Unknown,
}

/// A metric type that a registry can make: [`Counter`], [`FloatCounter`], [`Gauge`],
/// [`FloatGauge`], [`UpDownCounter`], [`Total`], [`Histogram`], [`Info`] or [`StateSet`].
pub trait Metric: sealed::Sealed + Clone + fmt::Debug + Send + Sync + 'static {}

impl MetricKind {
    /// The kind as OpenMetrics writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Summary => "summary",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Unknown => "unknown",
        }
    }

    /// What a family's own name may have more than its name in OpenMetrics.
    const fn own_suffix(self) -> Option<&'static str> {
        match self {
            Self::Counter => Some("_total"),
            Self::Info => Some("_info"),
            _ => None,
        }
    }

    /// The name of a family of this kind in OpenMetrics: a counter's without `_total`, an info
    /// metric's without `_info`.
    pub(crate) fn base(self, name: &str) -> &str {
        self.own_suffix().and_then(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
    }

    /// What the names of its samples add to the family's name in OpenMetrics. Each has one `_`, in
    /// front.
    pub(crate) const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["_total", "_created"],
            Self::Histogram => &["_bucket", "_count", "_created", "_sum"],
            Self::Summary => &["_count", "_created", "_sum"],
            // The last three are how the older text format has it, where it is a histogram.
            Self::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_count", "_created", "_sum"],
            Self::Info => &["_info"],
            Self::Gauge | Self::StateSet | Self::Unknown => &[],
        }
    }
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name, parted where the suffix of a sample would start.
pub(crate) fn split_suffix(name: &str) -> Option<(&str, &str)> {
    Some(name.split_at(name.rfind('_')?))
}

/// A series of its own, at zero.
///
/// # Errors
/// [`TooManyColumns`], if there is no place for its value.
pub(crate) fn make<M: Metric>(labels: Labels, plan: &Plan) -> Result<M, TooManyColumns> {
    let buckets =
        if M::TYPE == MetricType::Histogram { plan.buckets.bounds().len() + 1 } else { 1 };
    let exemplars = plan.exemplars.then(|| Box::new(Exemplars::new(buckets)));
    Ok(M::of(Series::new(labels, exemplars, M::make(plan)?)))
}

/// A counter that is shown with these labels, if it is shown.
pub(crate) fn counter(labels: Labels) -> Counter {
    make(labels, &Plan::default()).unwrap_or_else(|TooManyColumns| sealed::Sealed::lost())
}

macro_rules! metrics {
    ($($metric:ident: $value:ty,)*) => {$(
        impl Metric for $metric {}

        impl sealed::Handle for $metric {
            type Value = $value;

            fn of(series: Arc<Series<$value>>) -> Self {
                Self(series)
            }

            fn series(&self) -> &Arc<Series<$value>> {
                &self.0
            }
        }
    )*};
}

metrics! {
    Counter: crate::cell::Count,
    FloatCounter: counter::FloatCell,
    Gauge: crate::cell::Level,
    FloatGauge: crate::cell::FloatLevel,
    UpDownCounter: crate::cell::Count,
    Total: total::TotalCell,
    Histogram: histogram::Cells,
    Info: (),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_of_a_sample_is_where_its_name_is_parted() {
        use MetricKind::{Counter, GaugeHistogram, Histogram, Info, Summary};
        for kind in [Counter, Histogram, Summary, GaugeHistogram, Info] {
            for suffix in kind.suffixes() {
                assert_eq!(split_suffix(&format!("a_b{suffix}")), Some(("a_b", *suffix)));
            }
        }
        assert_eq!(split_suffix("ab"), None);
    }

    #[test]
    fn a_base_is_without_what_the_kind_alone_adds() {
        assert_eq!(MetricKind::Counter.base("a_total"), "a");
        assert_eq!(MetricKind::Info.base("a_info"), "a");
        assert_eq!(MetricKind::Gauge.base("a_total"), "a_total");
        assert_eq!(MetricKind::Counter.base("a"), "a");
    }
}
