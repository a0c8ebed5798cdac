//! The protobuf format: length-delimited `io.prometheus.client.MetricFamily`, with classic and native
//! buckets side by side.

use super::wire::{Message, write_varint};
use crate::metric::visit::{Family, Labels, Number, Series, Value, Visitor};
use crate::metric::{Exemplar, HistogramSnapshot, MetricKind, NativeSnapshot};

/// Empty buckets that are written as such, since another span would take more.
const GAP: usize = 2;

/// Writes what it visits as protobuf.
///
/// A family is one message, and its length stands before it, so one family at a time is held.
///
/// # Examples
/// ```
/// use dynamo_metrics::encode::ProtobufEncoder;
/// use dynamo_metrics::registry::Registry;
///
/// let registry = Registry::new();
/// registry.gauge("x", "").register()?.set(1);
/// let mut encoder = ProtobufEncoder::new();
/// registry.gather(&mut encoder);
/// let page = encoder.finish();
/// assert_eq!(usize::from(page[0]), page.len() - 1);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Default)]
pub struct ProtobufEncoder {
    page: Vec<u8>,
    /// The family at hand; empty if there is none.
    family: Message,
    /// The metric at hand.
    metric: Message,
}

/// Numbers of fields, as the schema has them.
mod field {
    pub(super) const FAMILY_NAME: u32 = 1;
    pub(super) const FAMILY_HELP: u32 = 2;
    pub(super) const FAMILY_TYPE: u32 = 3;
    pub(super) const FAMILY_METRIC: u32 = 4;
    pub(super) const FAMILY_UNIT: u32 = 5;

    pub(super) const METRIC_LABEL: u32 = 1;
    pub(super) const METRIC_GAUGE: u32 = 2;
    pub(super) const METRIC_COUNTER: u32 = 3;
    pub(super) const METRIC_HISTOGRAM: u32 = 7;

    pub(super) const LABEL_NAME: u32 = 1;
    pub(super) const LABEL_VALUE: u32 = 2;

    /// Of counters and gauges.
    pub(super) const VALUE: u32 = 1;
    pub(super) const COUNTER_EXEMPLAR: u32 = 2;
    pub(super) const COUNTER_CREATED: u32 = 3;

    pub(super) const HISTOGRAM_COUNT: u32 = 1;
    pub(super) const HISTOGRAM_SUM: u32 = 2;
    pub(super) const HISTOGRAM_BUCKET: u32 = 3;
    pub(super) const HISTOGRAM_SCHEMA: u32 = 5;
    pub(super) const HISTOGRAM_ZERO_THRESHOLD: u32 = 6;
    pub(super) const HISTOGRAM_ZERO_COUNT: u32 = 7;
    pub(super) const HISTOGRAM_SPAN: u32 = 12;
    pub(super) const HISTOGRAM_DELTA: u32 = 13;
    pub(super) const HISTOGRAM_CREATED: u32 = 15;
    pub(super) const HISTOGRAM_EXEMPLAR: u32 = 16;

    pub(super) const BUCKET_COUNT: u32 = 1;
    pub(super) const BUCKET_BOUND: u32 = 2;
    pub(super) const BUCKET_EXEMPLAR: u32 = 3;

    pub(super) const SPAN_OFFSET: u32 = 1;
    pub(super) const SPAN_LENGTH: u32 = 2;

    pub(super) const EXEMPLAR_LABEL: u32 = 1;
    pub(super) const EXEMPLAR_VALUE: u32 = 2;
    pub(super) const EXEMPLAR_TIME: u32 = 3;

    pub(super) const TIME_SECONDS: u32 = 1;
    pub(super) const TIME_NANOSECONDS: u32 = 2;
}

impl ProtobufEncoder {
    /// Starts an empty page.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the page, and returns what was not taken yet.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.end();
        self.page
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

    /// Writes the family at hand.
    pub(crate) fn end(&mut self) {
        let family = self.family.bytes();
        if !family.is_empty() {
            write_varint(&mut self.page, family.len() as u64);
            self.page.extend_from_slice(family);
            self.family.clear();
        }
    }
}

impl Visitor for ProtobufEncoder {
    fn family(&mut self, family: &Family<'_>) {
        self.end();
        let out = &mut self.family;
        out.text(field::FAMILY_NAME, family.name);
        if !family.help.is_empty() {
            out.text(field::FAMILY_HELP, family.help);
        }
        out.unsigned(
            field::FAMILY_TYPE,
            match family.kind {
                MetricKind::Counter => 0,
                MetricKind::Gauge => 1,
                MetricKind::Histogram => 4,
            },
        );
        if let Some(unit) = family.unit {
            out.text(field::FAMILY_UNIT, unit.as_str());
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        let metric = &mut self.metric;
        metric.clear();
        write_labels(metric, series.labels);
        match series.value {
            Value::Gauge(number) => metric.nested(field::METRIC_GAUGE, |gauge| {
                gauge.float(field::VALUE, float(number));
            }),
            Value::Counter(number) => metric.nested(field::METRIC_COUNTER, |counter| {
                counter.float(field::VALUE, float(number));
                if let Some(exemplar) = series.exemplars.counter() {
                    write_exemplar(counter, field::COUNTER_EXEMPLAR, &exemplar);
                }
                write_time(counter, field::COUNTER_CREATED, series.created);
            }),
            Value::Histogram(histogram) => metric.nested(field::METRIC_HISTOGRAM, |out| {
                write_histogram(out, series, histogram);
            }),
        }
        self.family.message(field::FAMILY_METRIC, self.metric.bytes());
    }
}

fn write_labels(metric: &mut Message, labels: Labels<'_>) {
    for (name, value) in labels.iter() {
        metric.nested(field::METRIC_LABEL, |label| {
            label.text(field::LABEL_NAME, name);
            label.text(field::LABEL_VALUE, &value);
        });
    }
}

fn write_histogram(out: &mut Message, series: &Series<'_>, histogram: &HistogramSnapshot) {
    out.unsigned(field::HISTOGRAM_COUNT, histogram.count());
    out.float(field::HISTOGRAM_SUM, histogram.sum());
    let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
    let mut below = 0_u64;
    for (i, (bound, count)) in bounds.zip(histogram.counts()).enumerate() {
        below = below.saturating_add(*count);
        let exemplar = series.exemplars.bucket(i);
        // The last bucket says what the count says, and is there for its exemplar only.
        if bound.is_finite() || exemplar.is_some() {
            out.nested(field::HISTOGRAM_BUCKET, |bucket| {
                bucket.unsigned(field::BUCKET_COUNT, below);
                bucket.float(field::BUCKET_BOUND, bound);
                if let Some(exemplar) = &exemplar {
                    write_exemplar(bucket, field::BUCKET_EXEMPLAR, exemplar);
                }
            });
        }
    }
    if let Some(native) = histogram.native() {
        write_native(out, native);
        for bucket in 0..histogram.counts().len() {
            if let Some(exemplar) = series.exemplars.bucket(bucket) {
                write_exemplar(out, field::HISTOGRAM_EXEMPLAR, &exemplar);
            }
        }
    }
    write_time(out, field::HISTOGRAM_CREATED, series.created);
}

fn write_native(out: &mut Message, native: NativeSnapshot<'_>) {
    out.signed(field::HISTOGRAM_SCHEMA, native.buckets().schema().into());
    out.float(field::HISTOGRAM_ZERO_THRESHOLD, native.buckets().zero_threshold());
    out.unsigned(field::HISTOGRAM_ZERO_COUNT, native.zero_count());
    let counts = native.counts();
    let spans = spans(counts);
    // The first offset is an index, the others are gaps.
    let (mut end, mut next) = (0, i64::from(native.buckets().first_index()));
    for &(start, length) in &spans {
        next += i64::try_from(start - end).unwrap_or_default();
        out.nested(field::HISTOGRAM_SPAN, |span| {
            span.signed(field::SPAN_OFFSET, next);
            span.unsigned(field::SPAN_LENGTH, length as u64);
        });
        (end, next) = (start + length, 0);
    }
    let mut before = 0_i64;
    out.packed_signed(
        field::HISTOGRAM_DELTA,
        spans.iter().flat_map(|&(start, length)| &counts[start..start + length]).map(|&count| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            count - std::mem::replace(&mut before, count)
        }),
    );
}

/// Runs of buckets to write, as starts and lengths: all that are filled, with small gaps closed.
fn spans(counts: &[u64]) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (i, _) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        match spans.last_mut() {
            Some((start, length)) if i - (*start + *length) <= GAP => *length = i + 1 - *start,
            _ => spans.push((i, 1)),
        }
    }
    spans
}

fn write_exemplar(out: &mut Message, number: u32, exemplar: &Exemplar) {
    out.nested(number, |out| {
        for (name, value) in exemplar.labels() {
            out.nested(field::EXEMPLAR_LABEL, |label| {
                label.text(field::LABEL_NAME, name);
                label.text(field::LABEL_VALUE, value);
            });
        }
        out.float(field::EXEMPLAR_VALUE, exemplar.value());
        write_time(out, field::EXEMPLAR_TIME, exemplar.timestamp());
    });
}

fn write_time(out: &mut Message, number: u32, milliseconds: u64) {
    out.nested(number, |time| {
        time.unsigned(field::TIME_SECONDS, milliseconds / 1000);
        time.unsigned(field::TIME_NANOSECONDS, milliseconds % 1000 * 1_000_000);
    });
}

fn float(number: Number) -> f64 {
    match number {
        Number::Unsigned(value) => value as f64,
        Number::Signed(value) => value as f64,
        Number::Float(value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_buckets_close_small_gaps() {
        assert_eq!(spans(&[]), []);
        assert_eq!(spans(&[0, 0]), []);
        assert_eq!(spans(&[0, 1, 0, 0, 2, 0, 0, 0, 3]), [(1, 4), (8, 1)]);
        assert_eq!(spans(&[1, 1, 1]), [(0, 3)]);
    }
}
