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
mod fault;
mod format;
mod limits;
mod line;
#[cfg(feature = "protobuf")]
mod message;
#[cfg(feature = "protobuf")]
mod native;
mod number;
mod point;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(test)]
#[cfg(feature = "protobuf")]
mod protobuf_tests;
#[cfg(test)]
mod tests;
mod text;

pub use fault::{Fault, Reason};
pub use format::Format;
pub use limits::Limits;

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

/// All series of one name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name as text 0.0.4 shows it, whatever the page's format: a counter with its `_total`
    /// where it has one, an info metric with its `_info`. Valid by the old grammar.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What it says for people; empty if it says nothing.
    pub help: String,
    /// The unit, which the name ends in (before a `_total`).
    pub unit: Option<String>,
    /// The series, in the order of the page; no two have the same labels.
    pub series: Vec<Series>,
}

/// What a family is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A value that only goes up.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Samples counted in buckets.
    Histogram,
    /// Quantiles of samples.
    Summary,
    /// Text in labels; the value is 1.
    Info,
    /// States that are on or off (1 or 0), each a value of the label named as the family.
    StateSet,
    /// Things that are there now, counted in buckets.
    GaugeHistogram,
    /// Not told.
    Unknown,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// Names and values, unescaped, sorted by name; without empty values, which say as much as none,
    /// and without `le` and `quantile` where those tell the parts of one value apart.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: Value,
    /// When it began to count, in seconds since 1970.
    pub created: Option<f64>,
    /// Samples that stand for others; of a histogram, at most one a bucket besides native ones.
    pub exemplars: Vec<Exemplar>,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Of a counter not NaN and not negative, of an info metric 1, of a state 0 or 1.
    Number(f64),
    /// Of histograms and gauge histograms.
    Histogram(Histogram),
    /// Of summaries.
    Summary(Summary),
}

/// Samples counted in buckets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds, rising, with how many samples are not above each; the last one is `+Inf`, and
    /// has all.
    pub buckets: Vec<(f64, f64)>,
    /// The sum of all samples. NaN if one was.
    pub sum: Option<f64>,
    /// How many samples there are: finite and not negative.
    pub count: f64,
    /// The same samples in exponential buckets.
    pub native: Option<Native>,
}

/// Samples counted in exponential buckets: the native histogram of Prometheus.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Native {
    /// The resolution, from -4 to 8: bucket *i* ends at 2^(*i* · 2^-schema).
    pub schema: i32,
    /// Samples that are not farther from zero than this are in the zero bucket.
    pub zero_threshold: f64,
    /// How many there are of those.
    pub zero_count: f64,
    /// The buckets of positive samples: index, rising, and how many samples are in it alone.
    pub positive: Vec<(i32, f64)>,
    /// The same of negative samples, whose buckets mirror the positive ones.
    pub negative: Vec<(i32, f64)>,
}

/// Quantiles of samples.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// Quantiles between 0 and 1, rising, and their values, which are NaN where there was no sample.
    pub quantiles: Vec<(f64, f64)>,
    /// The sum of all samples.
    pub sum: Option<f64>,
    /// How many samples there are.
    pub count: Option<f64>,
}

/// One sample that stands for others, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Exemplar {
    /// Names and values, unescaped, sorted by name; 128 characters at most.
    pub labels: Vec<(String, String)>,
    /// The sample.
    pub value: f64,
    /// When it was taken, in seconds since 1970.
    pub timestamp: Option<f64>,
}

/// Reads a page.
///
/// A page that is cut off is read as far as it goes.
///
/// # Examples
/// ```
/// use dynamo_metrics::foreign::{Format, Kind, Limits, Reason, Value, parse};
///
/// let page = b"# TYPE step_seconds histogram\n# UNIT step_seconds seconds\n\
///              step_seconds_bucket{le=\"0.5\"} 2\nstep_seconds_bucket{le=\"+Inf\"} 3\n\
///              step_seconds_sum 4.5\nstep_seconds_count 3\n";
/// let parsed = parse(page, Format::OpenMetrics, &Limits::default());
/// assert_eq!(parsed.faults[0].reason, Reason::Truncated); // no `# EOF`
///
/// let steps = &parsed.families[0];
/// assert_eq!((steps.kind, steps.unit.as_deref()), (Kind::Histogram, Some("seconds")));
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
