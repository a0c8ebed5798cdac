//! Other processes' metrics, read from what they expose: a Python engine's `/metrics` above all.
//!
//! A page comes from outside and may be wrong in every way. What is bad is left out and told as a
//! [`Fault`]; the rest stands. Time and memory are bounded by [`Limits`], whatever the bytes are.
//!
//! # Examples
//! ```
//! use dynamo_metrics::foreign::{Format, Limits, Reason, Value, parse};
//!
//! let page = b"# TYPE hits_total counter\n\
//!              hits_total{model=\"m\"} 7\n\
//!              hits_total{model=\"n\"} -1\n";
//! let parsed = parse(page, Format::Text, &Limits::default());
//!
//! let hits = &parsed.families[0];
//! assert_eq!(hits.name, "hits_total");
//! assert_eq!(hits.series[0].labels, [("model".to_owned(), "m".to_owned())]);
//! assert_eq!(hits.series[0].value, Value::Number(7.0));
//! assert_eq!(hits.series.len(), 1);
//! assert_eq!((parsed.faults[0].line, parsed.faults[0].reason), (Some(3), Reason::Value));
//! ```

mod book;
mod check;
mod collect;
mod fault;
#[cfg(feature = "exporter")]
mod filter;
mod format;
mod limits;
mod line;
#[cfg(feature = "protobuf")]
mod message;
#[cfg(feature = "protobuf")]
mod native;
mod number;
mod point;
#[cfg(feature = "prometheus-client")]
pub mod prometheus_client;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(test)]
#[cfg(feature = "protobuf")]
mod protobuf_tests;
#[cfg(test)]
mod tests;
mod text;

pub use collect::Collected;
pub use fault::{Fault, Reason};
#[cfg(feature = "exporter")]
pub(crate) use filter::Filter;
pub use format::Format;
pub use limits::Limits;

pub use crate::metric::foreign::{Exemplar, Family, Histogram, Native, Series, Summary, Value};

/// What a page says, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// The families that have a series, in the order of the page.
    pub families: Vec<Family>,
    /// The first faults, as many as [`Limits::faults`] says.
    pub faults: Vec<Fault>,
    /// How many faults there are of each reason that there are any of.
    pub totals: Vec<(Reason, u64)>,
}

/// Reads a page.
///
/// A page that is cut off is read as far as it goes.
///
/// # Examples
/// ```
/// use dynamo_metrics::foreign::{Format, Limits, Reason, Value, parse};
/// use dynamo_metrics::metric::MetricKind;
///
/// let page = b"# TYPE step_seconds histogram\n# UNIT step_seconds seconds\n\
///              step_seconds_bucket{le=\"0.5\"} 2\nstep_seconds_bucket{le=\"+Inf\"} 3\n\
///              step_seconds_sum 4.5\nstep_seconds_count 3\n";
/// let parsed = parse(page, Format::OpenMetrics, &Limits::default());
/// assert_eq!(parsed.faults[0].reason, Reason::Truncated); // no `# EOF`
///
/// let steps = &parsed.families[0];
/// assert_eq!((steps.kind, steps.unit.as_deref()), (MetricKind::Histogram, Some("seconds")));
/// let Value::Histogram(steps) = &steps.series[0].value else { panic!() };
/// assert_eq!(steps.buckets, [(0.5, 2.0), (f64::INFINITY, 3.0)]);
/// assert_eq!((steps.sum, steps.count), (Some(4.5), 3.0));
/// ```
#[must_use]
pub fn parse(page: &[u8], format: Format, limits: &Limits) -> Parsed {
    match format {
        Format::Text => text::read(page, text::Dialect::Prometheus, limits),
        Format::OpenMetrics => text::read(page, text::Dialect::OpenMetrics, limits),
        #[cfg(feature = "protobuf")]
        Format::Protobuf => protobuf::read(page, limits),
    }
}
