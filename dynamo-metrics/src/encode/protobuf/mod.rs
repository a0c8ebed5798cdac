//! The protobuf format: length-delimited `io.prometheus.client.MetricFamily`, with classic and native
//! buckets side by side.

mod field;
mod histogram;
mod wire;

use wire::{Message, write_varint};

use super::number::to_whole;
use crate::metric::foreign::Summary;
use crate::metric::visit::{Family, Labels, Number, Series, Value, Visitor};
use crate::metric::{Exemplar, MetricKind};

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
                // The format knows neither info metrics nor state sets.
                MetricKind::Gauge | MetricKind::Info | MetricKind::StateSet => 1,
                MetricKind::Summary => 2,
                MetricKind::Unknown => 3,
                MetricKind::Histogram => 4,
                MetricKind::GaugeHistogram => 5,
            },
        );
        if let Some(unit) = family.unit {
            out.text(field::FAMILY_UNIT, unit);
        }
    }

    fn series(&mut self, series: &Series<'_>) {
        let metric = &mut self.metric;
        metric.clear();
        write_labels(metric, series.labels);
        let mut plain = |field, number| {
            metric.nested(field, |value| value.float(field::VALUE, float(number)));
        };
        match series.value {
            Value::Gauge(number) => plain(field::METRIC_GAUGE, number),
            Value::Info => plain(field::METRIC_GAUGE, 1_u64.into()),
            Value::State(is_on) => plain(field::METRIC_GAUGE, u64::from(is_on).into()),
            Value::Unknown(number) => plain(field::METRIC_UNTYPED, number),
            Value::Counter(number) => metric.nested(field::METRIC_COUNTER, |counter| {
                counter.float(field::VALUE, float(number));
                if let Some(exemplar) = series.exemplars.counter() {
                    write_exemplar(counter, field::COUNTER_EXEMPLAR, &exemplar);
                }
                write_created(counter, field::COUNTER_CREATED, series);
            }),
            Value::Summary(summary) => metric.nested(field::METRIC_SUMMARY, |out| {
                write_summary(out, series, summary);
            }),
            Value::Histogram(histogram) => metric.nested(field::METRIC_HISTOGRAM, |out| {
                histogram::write_own(out, series, histogram);
            }),
            Value::Buckets(histogram) => metric.nested(field::METRIC_HISTOGRAM, |out| {
                histogram::write_foreign(out, series, histogram);
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

fn write_summary(out: &mut Message, series: &Series<'_>, summary: &Summary) {
    if let Some(count) = summary.count {
        out.unsigned(field::SUMMARY_COUNT, to_whole(count));
    }
    if let Some(sum) = summary.sum {
        out.float(field::SUMMARY_SUM, sum);
    }
    for &(quantile, value) in &summary.quantiles {
        out.nested(field::SUMMARY_QUANTILE, |out| {
            out.float(field::QUANTILE, quantile);
            out.float(field::QUANTILE_VALUE, value);
        });
    }
    write_created(out, field::SUMMARY_CREATED, series);
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
        if let Some(time) = exemplar.timestamp() {
            write_time(out, field::EXEMPLAR_TIME, time);
        }
    });
}

/// Writes when the series began, if that is known.
fn write_created(out: &mut Message, number: u32, series: &Series<'_>) {
    if let Some(created) = series.created {
        write_time(out, number, created);
    }
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
