//! Values that somebody else keeps, as they are told: the numbers of pages, not of cells.

use super::MetricKind;

/// All series of one name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// The name as text 0.0.4 shows it, whatever the page's format: a counter with its `_total`
    /// where it has one, an info metric with its `_info`. Valid by the old grammar.
    pub name: String,
    /// What it is.
    pub kind: MetricKind,
    /// What it says for people; empty if it says nothing.
    pub help: String,
    /// The unit, which the name ends in (before a `_total`).
    pub unit: Option<String>,
    /// The series, in the order of the page; no two have the same labels.
    pub series: Vec<Series>,
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

/// A time in seconds since 1970, in milliseconds, if it is one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
pub(super) fn milliseconds(seconds: f64) -> Option<u64> {
    (seconds >= 0.0).then_some((seconds * 1000.0) as u64)
}
