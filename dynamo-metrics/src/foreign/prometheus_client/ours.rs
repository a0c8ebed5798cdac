//! Our metrics and registries, for their encoder.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use ::prometheus_client::collector::Collector;
use ::prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeMetric, MetricEncoder, NativeHistogram,
    NativeHistogramBuckets, NoLabelSet,
};
use ::prometheus_client::metrics::exemplar::CounterWithExemplar;
use ::prometheus_client::metrics::{MetricType, TypedMetric};
use ::prometheus_client::registry::Unit;

use crate::label::LabelValue;
use crate::metric::visit::{self, Number, Visitor};
use crate::metric::{
    Counter, Exemplar, FloatCounter, FloatGauge, Gauge, Histogram, HistogramSnapshot, Info, Metric,
    MetricKind, NativeSnapshot, Stage, StateSet, Total, UpDownCounter, foreign,
};
use crate::registry::Registry;

type Labels = Vec<(String, String)>;

/// A series, kept until their encoder may have it.
struct Row {
    labels: Labels,
    value: Value,
}

enum Value {
    Counter(Number, Option<Arc<Exemplar>>),
    Gauge(Number),
    Histogram(HistogramSnapshot),
    Buckets(foreign::Histogram),
    Info,
}

/// The series of one metric.
#[derive(Default)]
struct Rows(Vec<Row>);

/// Writes what it visits, a family at a time: their encoder wants to be held for as long as one.
struct Families<'a> {
    encoder: DescriptorEncoder<'a>,
    family: Option<Family>,
    result: fmt::Result,
}

struct Family {
    /// Without what their encoder adds.
    name: String,
    help: String,
    unit: Option<Unit>,
    metric_type: MetricType,
    rows: Rows,
}

impl Row {
    /// `None` for what they have no way to tell.
    fn of(series: &visit::Series<'_>) -> Option<Self> {
        let value = match series.value {
            visit::Value::Counter(number) => Value::Counter(number, series.exemplars.counter()),
            visit::Value::Gauge(number) | visit::Value::Unknown(number) => Value::Gauge(number),
            visit::Value::State(is_on) => Value::Gauge(u64::from(is_on).into()),
            visit::Value::Histogram(histogram) => Value::Histogram(histogram.clone()),
            visit::Value::Buckets(histogram) => Value::Buckets(histogram.clone()),
            visit::Value::Info => Value::Info,
            visit::Value::Summary(_) => return None,
        };
        // An empty value says as much as none.
        let labels = series.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        Some(Self { labels, value })
    }

    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match &self.value {
            Value::Info => encoder.encode_info(&self.labels),
            // One that is in a family of theirs has labels already, and can have no more.
            value if self.labels.is_empty() => value.write(encoder),
            value => value.write(&mut encoder.encode_family(&self.labels)?),
        }
    }
}

impl Value {
    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(Number::Unsigned(value), exemplar) => {
                write_counter(encoder, value, exemplar.as_deref())
            }
            Self::Counter(number, exemplar) => {
                write_counter(encoder, &float(*number), exemplar.as_deref())
            }
            Self::Gauge(Number::Unsigned(value)) => encoder.encode_gauge(value),
            Self::Gauge(Number::Signed(value)) => encoder.encode_gauge(value),
            Self::Gauge(Number::Float(value)) => encoder.encode_gauge(value),
            Self::Histogram(histogram) => write_histogram(encoder, histogram),
            Self::Buckets(histogram) => write_buckets(encoder, histogram),
            Self::Info => encoder.encode_gauge(&1_u32),
        }
    }
}

fn float(number: Number) -> f64 {
    match number {
        Number::Unsigned(number) => number as f64,
        Number::Signed(number) => number as f64,
        Number::Float(number) => number,
    }
}

fn write_counter(
    encoder: &mut MetricEncoder<'_>,
    value: &impl EncodeCounterValue,
    exemplar: Option<&Exemplar>,
) -> fmt::Result {
    let Some(exemplar) = exemplar else {
        return encoder.encode_counter::<NoLabelSet, _, f64>(value, None);
    };
    // Only a counter of theirs can make one of their exemplars.
    let kept = CounterWithExemplar::<Labels, f64, AtomicU64>::default();
    let labels = exemplar.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let time = exemplar.timestamp().map(Duration::from_millis);
    let time = time.and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time));
    kept.inc_by(exemplar.value(), Some(labels.collect()), time);
    let (_, exemplar) = kept.get();
    encoder.encode_counter(value, exemplar.as_ref())
}

fn write_histogram(encoder: &mut MetricEncoder<'_>, histogram: &HistogramSnapshot) -> fmt::Result {
    let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
    let buckets: Vec<_> = bounds.zip(histogram.counts().iter().copied()).collect();
    let (sum, count) = (histogram.sum(), histogram.count());
    let Some(native) = histogram.native() else {
        return encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None);
    };
    let (spans, deltas) = positive(native);
    encoder.encode_histogram_with_native::<NoLabelSet>(
        sum,
        count,
        &buckets,
        None,
        NativeHistogram {
            schema: native.buckets().schema().into(),
            zero_threshold: native.buckets().zero_threshold(),
            zero_count: native.zero_count(),
            negative: NativeHistogramBuckets { spans: &[], deltas: &[] },
            positive: NativeHistogramBuckets { spans: &spans, deltas: &deltas },
            created: None,
        },
    )
}

/// Runs of buckets, by the gap before each and how many they are, and by how much each bucket's
/// count differs from the one before.
pub(super) fn positive(native: NativeSnapshot<'_>) -> (Vec<(i32, u32)>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<(i32, u32)>::new(), Vec::new());
    let (mut next, mut before) = (0, 0_i64);
    let all = (native.buckets().first_index()..).zip(native.counts());
    for (index, &count) in all.filter(|(_, count)| **count > 0) {
        match spans.last_mut() {
            Some((_, length)) if index == next => *length += 1,
            _ => spans.push((index - next, 1)),
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (index + 1, count);
    }
    (spans, deltas)
}

/// Buckets that somebody else told us; theirs hold whole numbers of samples, not summed up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn write_buckets(encoder: &mut MetricEncoder<'_>, histogram: &foreign::Histogram) -> fmt::Result {
    let mut below = 0;
    let buckets = histogram.buckets.iter().map(|&(bound, sum)| {
        let before = std::mem::replace(&mut below, sum as u64);
        (bound, below.saturating_sub(before))
    });
    let (buckets, sum) = (buckets.collect::<Vec<_>>(), histogram.sum.unwrap_or(f64::NAN));
    encoder.encode_histogram::<NoLabelSet>(sum, histogram.count as u64, &buckets, None)
}

impl Visitor for Rows {
    fn family(&mut self, _: &visit::Family<'_>) {}

    fn series(&mut self, series: &visit::Series<'_>) {
        self.0.extend(Row::of(series));
    }
}

impl Rows {
    fn write(&self, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|row| row.write(encoder))
    }
}

impl Family {
    fn new(family: &visit::Family<'_>) -> Self {
        // What would be given a suffix that it has not is something else to them.
        let name = family.kind.base(family.name);
        let has_suffix = name != family.name;
        let metric_type = match family.kind {
            MetricKind::Counter if has_suffix => MetricType::Counter,
            MetricKind::Info if has_suffix => MetricType::Info,
            MetricKind::Info | MetricKind::Gauge | MetricKind::StateSet => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
            _ => MetricType::Unknown,
        };
        let unit = family.unit.filter(|_| family.kind != MetricKind::Info);
        let bare = unit.and_then(|unit| name.strip_suffix(unit)?.strip_suffix('_'));
        Self {
            name: bare.unwrap_or(name).to_owned(),
            // Their text has it as it is given, where this would be an escape, and start a line.
            help: family.help.replace('\\', "\\\\").replace('\n', "\\n"),
            unit: bare.and(unit).map(|unit| Unit::Other(unit.to_owned())),
            metric_type,
            rows: Rows::default(),
        }
    }

    fn write(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.rows.0.is_empty() {
            return Ok(());
        }
        let Self { name, help, unit, metric_type, rows } = self;
        let mut encoder = encoder.encode_descriptor(name, help, unit.as_ref(), *metric_type)?;
        rows.write(&mut encoder)
    }
}

impl Families<'_> {
    fn end_family(&mut self) {
        if let Some(family) = self.family.take()
            && self.result.is_ok()
        {
            self.result = family.write(&mut self.encoder);
        }
    }
}

impl Visitor for Families<'_> {
    fn family(&mut self, family: &visit::Family<'_>) {
        self.end_family();
        let known = !matches!(family.kind, MetricKind::Summary | MetricKind::GaugeHistogram);
        self.family = known.then(|| Family::new(family));
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let Some(family) = &mut self.family else { return };
        let Some(mut row) = Row::of(series) else { return };
        match (family.metric_type, row.value) {
            (MetricType::Counter, value @ Value::Counter(..))
            | (MetricType::Info, value @ Value::Info) => row.value = value,
            (_, Value::Counter(number, _)) => row.value = Value::Gauge(number),
            (_, Value::Info) => row.value = Value::Gauge(1_u64.into()),
            (_, value) => row.value = value,
        }
        family.rows.0.push(row);
    }
}

impl Collector for Registry {
    /// Gathers the registry, and encodes it as it goes.
    ///
    /// # Cost
    /// A copy of each series, of a family at a time.
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families { encoder, family: None, result: Ok(()) };
        self.gather(&mut families);
        families.end_family();
        families.result
    }
}

/// Encodes one metric, with the labels that it has of its own.
fn encode<M: Metric>(metric: &M, mut encoder: MetricEncoder<'_>) -> fmt::Result {
    let mut rows = Rows::default();
    let mut scratch = HistogramSnapshot::default();
    // A metric by itself does not know its name, which the label of states would have.
    let mut stage = Stage { family: "state", scratch: &mut scratch, visitor: &mut rows };
    M::show(metric.series(), &mut stage);
    rows.write(&mut encoder)
}

macro_rules! metrics {
    ($($metric:ident: $metric_type:ident,)*) => {$(
        /// With the labels that the metric has here; a family of theirs can only hold metrics without.
        impl EncodeMetric for $metric {
            fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
                encode(self, encoder)
            }

            fn metric_type(&self) -> MetricType {
                Self::TYPE
            }
        }

        impl TypedMetric for $metric {
            const TYPE: MetricType = MetricType::$metric_type;
        }
    )*};
}

metrics! {
    Counter: Counter,
    FloatCounter: Counter,
    Gauge: Gauge,
    FloatGauge: Gauge,
    UpDownCounter: Gauge,
    Total: Counter,
    Histogram: Histogram,
    Info: Info,
}

/// As a gauge of 0 or 1 for each state, told by the label `state`.
impl<S: LabelValue + 'static> EncodeMetric for StateSet<S> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        encode(self, encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl<S: LabelValue + 'static> TypedMetric for StateSet<S> {
    const TYPE: MetricType = MetricType::Gauge;
}
