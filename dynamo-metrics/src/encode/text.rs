//! The two text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use std::sync::Arc;

use super::format::TextFormat;
use super::number::{push_canonical, push_f64, push_i64, push_seconds, push_u64};
use crate::label::{Piece, write_pair};
use crate::metric::visit::{Family, Labels, Number, Series, Value, Visitor};
use crate::metric::{Exemplar, HistogramSnapshot, MetricKind};

/// Writes what it visits as text.
///
/// # Examples
/// ```
/// use dynamo_metrics::encode::{TextEncoder, TextFormat};
/// use dynamo_metrics::registry::Registry;
///
/// let mut encoder = TextEncoder::new(TextFormat::OpenMetrics);
/// Registry::new().gather(&mut encoder);
/// assert_eq!(encoder.finish(), "# EOF\n");
/// ```
#[derive(Debug)]
pub struct TextEncoder {
    pub(super) format: TextFormat,
    pub(super) page: Vec<u8>,
    /// The name of the family at hand.
    pub(super) name: String,
    /// What starts each line of the family at hand that has labels.
    start: String,
    /// What starts each bucket line of the series at hand.
    head: Vec<u8>,
    /// The family at hand may have exemplars in this format.
    exemplars: bool,
    /// The times of creation are shown, where the format has them.
    created: bool,
    /// The name of the family at hand in OpenMetrics, if its series have a time of creation there.
    created_name: Option<String>,
    /// The family at hand is of gauge histograms, which this format has.
    pub(super) of_gauges: bool,
    /// The bounds of the last histogram, and how its bucket lines end: neighbours mostly share them.
    bounds: Vec<f64>,
    tails: Vec<Piece>,
}

impl TextEncoder {
    /// Starts an empty page.
    #[must_use]
    pub fn new(format: TextFormat) -> Self {
        Self {
            format,
            page: Vec::new(),
            name: String::new(),
            start: String::new(),
            head: Vec::new(),
            exemplars: false,
            created: false,
            created_name: None,
            of_gauges: false,
            bounds: Vec::new(),
            tails: Vec::new(),
        }
    }

    /// Shows when series were made, as `_created` (default: not shown, since scrapers that do not
    /// know it store a series more for each). The older format has no such thing.
    #[must_use]
    pub fn created(mut self, shown: bool) -> Self {
        self.created = shown;
        self
    }

    /// Ends the page, and returns what was not taken yet.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.end();
        // All that is written is text, or ends where text does.
        String::from_utf8(self.page).unwrap_or_default()
    }

    /// How much of the page was written and not taken yet, in bytes.
    #[cfg(feature = "exporter")]
    pub(crate) fn len(&self) -> usize {
        self.page.len()
    }

    /// Takes what was written so far, and makes room for `room` bytes more.
    #[cfg(feature = "exporter")]
    pub(crate) fn take(&mut self, room: usize) -> Vec<u8> {
        std::mem::replace(&mut self.page, Vec::with_capacity(room))
    }

    /// Writes what ends a page.
    pub(crate) fn end(&mut self) {
        if self.format == TextFormat::OpenMetrics {
            self.page.extend_from_slice(b"# EOF\n");
        }
    }

    fn describe(&mut self, keyword: &str, name: &str, text: &str) {
        for piece in ["# ", keyword, " ", name, " "] {
            self.page.extend_from_slice(piece.as_bytes());
        }
        for c in text.bytes() {
            match c {
                b'\\' => self.page.extend_from_slice(b"\\\\"),
                b'\n' => self.page.extend_from_slice(b"\\n"),
                // Only OpenMetrics escapes quotes here; the older format rejects it.
                b'"' if self.format == TextFormat::OpenMetrics => {
                    self.page.extend_from_slice(b"\\\"");
                }
                c => self.page.push(c),
            }
        }
        self.page.push(b'\n');
    }

    pub(super) fn sample(&mut self, suffix: &str, labels: Labels<'_>, number: Number) {
        if suffix.is_empty() && !labels.is_empty() {
            self.page.extend_from_slice(self.start.as_bytes());
        } else {
            self.page.extend_from_slice(self.name.as_bytes());
            self.page.extend_from_slice(suffix.as_bytes());
            self.labels(labels);
            return self.number(number);
        }
        labels.write_to(&mut self.page);
        self.page.extend_from_slice(b"} ");
        self.number(number);
    }

    fn labels(&mut self, labels: Labels<'_>) {
        if labels.is_empty() {
            return self.page.push(b' ');
        }
        self.page.push(b'{');
        labels.write_to(&mut self.page);
        self.page.extend_from_slice(b"} ");
    }

    /// Ends a line, with an exemplar where the format has them and there is one.
    pub(super) fn end_line(&mut self, exemplar: impl FnOnce() -> Option<Arc<Exemplar>>) {
        if let Some(exemplar) = self.exemplars.then(exemplar).flatten() {
            self.page.extend_from_slice(b" # {");
            for (i, (name, value)) in exemplar.labels().enumerate() {
                if i > 0 {
                    self.page.push(b',');
                }
                write_pair(&mut self.page, name, value);
            }
            self.page.extend_from_slice(b"} ");
            push_f64(&mut self.page, exemplar.value());
            if let Some(time) = exemplar.timestamp() {
                self.page.push(b' ');
                push_seconds(&mut self.page, time);
            }
        }
        self.page.push(b'\n');
    }

    pub(super) fn number(&mut self, number: Number) {
        match number {
            Number::Unsigned(value) => push_u64(&mut self.page, value),
            Number::Signed(value) => push_i64(&mut self.page, value),
            Number::Float(value) => push_f64(&mut self.page, value),
        }
    }

    fn histogram(&mut self, series: &Series<'_>, histogram: &HistogramSnapshot) {
        let labels = series.labels;
        self.render_bounds(histogram.bounds());
        // What starts every bucket line, put together once; each line is then three copies.
        self.head.clear();
        self.head.extend_from_slice(self.name.as_bytes());
        self.head.extend_from_slice(b"_bucket{");
        if !labels.is_empty() {
            labels.write_to(&mut self.head);
            self.head.push(b',');
        }
        let mut below = 0_u64;
        let exemplars = !series.exemplars.is_empty();
        let tails = std::mem::take(&mut self.tails);
        for (bucket, (tail, count)) in tails.iter().zip(histogram.counts()).enumerate() {
            below = below.saturating_add(*count);
            self.page.extend_from_slice(&self.head);
            tail.write_to(&mut self.page);
            push_u64(&mut self.page, below);
            if exemplars {
                self.end_line(|| series.exemplars.bucket(bucket));
            } else {
                self.page.push(b'\n');
            }
        }
        self.tails = tails;
        self.sample("_sum", labels, histogram.sum().into());
        self.end_line(|| None);
        self.sample("_count", labels, below.into());
        self.end_line(|| None);
    }

    fn plain(&mut self, labels: Labels<'_>, number: Number) {
        self.sample("", labels, number);
        self.end_line(|| None);
    }

    /// Writes the ends of bucket lines, unless the last histogram had the same.
    fn render_bounds(&mut self, bounds: &[f64]) {
        if self.bounds == bounds && !self.tails.is_empty() {
            return;
        }
        self.bounds.clear();
        self.bounds.extend_from_slice(bounds);
        let push = match self.format {
            TextFormat::Text => push_f64,
            TextFormat::OpenMetrics => push_canonical,
        };
        let render = |bound: f64| {
            let mut tail = b"le=\"".to_vec();
            push(&mut tail, bound);
            tail.extend_from_slice(b"\"} ");
            Piece::new(&tail)
        };
        self.tails = bounds.iter().copied().chain([f64::INFINITY]).map(render).collect();
    }
}

impl Visitor for TextEncoder {
    fn family(&mut self, family: &Family<'_>) {
        family.name.clone_into(&mut self.name);
        self.start.clear();
        self.start.push_str(family.name);
        self.start.push('{');
        if self.format == TextFormat::Text {
            if !family.help.is_empty() {
                self.describe("HELP", family.name, family.help);
            }
            self.describe("TYPE", family.name, older_name(family.kind));
            return;
        }
        let name = family.kind.base(family.name);
        let kind = match family.kind {
            // Without `_total` it is no counter here; another name would be another series.
            MetricKind::Counter if name == family.name => "unknown",
            MetricKind::Info if name == family.name => "gauge",
            kind => kind.as_str(),
        };
        // A scraper rejects the page that has one elsewhere.
        self.exemplars = matches!(kind, "counter" | "histogram");
        self.of_gauges = family.kind == MetricKind::GaugeHistogram;
        let shown = self.created && matches!(kind, "counter" | "histogram" | "summary");
        self.created_name = shown.then(|| format!("{name}_created"));
        self.describe("TYPE", name, kind);
        let unitless = matches!(family.kind, MetricKind::Info | MetricKind::StateSet);
        if let Some(unit) = family.unit.filter(|_| !unitless) {
            self.describe("UNIT", name, unit);
        }
        if !family.help.is_empty() {
            self.describe("HELP", name, family.help);
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        let start = self.page.len();
        match series.value {
            Value::Counter(number) => {
                self.sample("", series.labels, number);
                self.end_line(|| series.exemplars.counter());
            }
            Value::Gauge(number) | Value::Unknown(number) => self.plain(series.labels, number),
            Value::Info => self.plain(series.labels, 1_u64.into()),
            Value::State(is_on) => self.plain(series.labels, u64::from(is_on).into()),
            Value::Histogram(histogram) => self.histogram(series, histogram),
            Value::Buckets(histogram) => self.foreign_histogram(series, histogram),
            Value::Summary(summary) => self.summary(series.labels, summary),
        }
        // A time of creation alone would be of nothing.
        let shown = self.page.len() > start;
        if let Some(created) = series.created.filter(|_| shown)
            && let Some(name) = self.created_name.take()
        {
            self.page.extend_from_slice(name.as_bytes());
            self.labels(series.labels);
            push_seconds(&mut self.page, created);
            self.page.push(b'\n');
            self.created_name = Some(name);
        }
    }
}

/// A kind as the older text format calls it: by what is nearest, where it has no such kind.
fn older_name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Info | MetricKind::StateSet => "gauge",
        MetricKind::GaugeHistogram => "histogram",
        MetricKind::Unknown => "untyped",
        kind => kind.as_str(),
    }
}
