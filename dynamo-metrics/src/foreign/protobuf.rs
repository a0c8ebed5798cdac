//! The protobuf format: families, each after its length.

use prost::Message as _;

use super::book::Book;
use super::check::{self, Labels};
use super::fault::{Flaw, Reason};
use super::message::{self, Field, Metric};
use super::{Exemplar, Histogram, Limits, Parsed, Value, native};
use crate::metric::MetricKind;

/// What a family says of itself.
struct Head<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    kind: MetricKind,
}

/// The value of a metric, and what goes with it.
struct Read {
    value: Value,
    created: Option<f64>,
    exemplars: Vec<Exemplar>,
}

/// What goes with a value, as it came.
#[derive(Default)]
struct Extras {
    created: Option<message::Timestamp>,
    /// Each with the bound of its bucket.
    exemplars: Vec<(f64, message::Exemplar)>,
}

/// Reads a page.
pub(super) fn read(page: &[u8], limits: &Limits) -> Parsed {
    let mut book = Book::new(limits);
    let whole = page.len() <= limits.bytes;
    let mut rest = page.get(..limits.bytes).unwrap_or(page);
    while !rest.is_empty() {
        let length = message::take_varint(&mut rest);
        let Some(message) = length.and_then(|length| message::take(&mut rest, length)) else {
            if whole {
                let flaw = Flaw::new(Reason::Truncated, "the last message has no end");
                book.faults.tell(None, flaw, "");
            }
            break;
        };
        if let Err(flaw) = family(&mut book, message) {
            book.faults.tell(None, flaw, name_of(message));
        }
    }
    if !whole {
        book.faults.tell(None, Flaw::new(Reason::Limit, "the page is too long"), "");
    }
    book.finish()
}

fn family(book: &mut Book<'_>, message: &[u8]) -> Result<(), Flaw> {
    let Head { name, help, unit, kind } = head(message, book.limits)?;
    let known = book.find(name).map(|(_, draft)| draft.kind);
    if known.is_some() {
        book.faults.tell(None, Flaw::new(Reason::Interleaved, "the family comes twice"), name);
    }
    if known.is_some_and(|known| known != Some(kind)) {
        return Err(Flaw::new(Reason::Kind, "the kind was another before"));
    }
    let (family, draft) = book.family(name)?;
    if known.is_none() {
        draft.kind = Some(kind);
        draft.help = Some(help.to_owned());
        let base = name.strip_suffix("_total").unwrap_or(name);
        let ends = base.strip_suffix(unit).is_some_and(|base| base.ends_with('_'));
        if ends && !unit.is_empty() {
            draft.unit = Some(unit.to_owned());
        } else if !unit.is_empty() {
            let flaw = Flaw::new(Reason::Name, "the name cannot have this unit");
            book.faults.tell(None, flaw, name);
        }
    }
    for field in message::fields(message) {
        if let Some((4, Field::Bytes(bytes))) = field
            && let Err(flaw) = metric(book, (family, kind, name), bytes)
        {
            book.faults.tell(None, flaw, name);
        }
    }
    Ok(())
}

/// Reads what is said of a family, and checks that there is an end to all of its fields.
fn head<'a>(message: &'a [u8], limits: &Limits) -> Result<Head<'a>, Flaw> {
    let mut head = Head { name: "", help: "", unit: "", kind: MetricKind::Counter };
    for field in message::fields(message) {
        let field = field.ok_or(Flaw::new(Reason::Syntax, "the message is broken"))?;
        match field {
            (1, Field::Bytes(name)) => head.name = utf8(name)?,
            (2, Field::Bytes(help)) => head.help = utf8(help)?,
            (5, Field::Bytes(unit)) => head.unit = utf8(unit)?,
            (3, Field::Varint(kind)) => {
                head.kind = match kind {
                    0 => MetricKind::Counter,
                    1 => MetricKind::Gauge,
                    2 => MetricKind::Summary,
                    3 => MetricKind::Unknown,
                    4 => MetricKind::Histogram,
                    5 => MetricKind::GaugeHistogram,
                    _ => return Err(Flaw::new(Reason::Kind, "there is no such kind")),
                }
            }
            (1..=5, _) if !matches!(field, (4, Field::Bytes(_))) => {
                return Err(Flaw::new(Reason::Syntax, "a field of another type"));
            }
            _ => {}
        }
    }
    check::metric_name(head.name, limits)?;
    if head.help.len() > limits.text {
        return Err(Flaw::new(Reason::Limit, "the help is too long"));
    }
    Ok(head)
}

fn metric(
    book: &mut Book<'_>,
    (family, kind, name): (usize, MetricKind, &str),
    bytes: &[u8],
) -> Result<(), Flaw> {
    let limits = book.limits;
    if bytes.len() > limits.line {
        return Err(Flaw::new(Reason::Limit, "the metric is too long"));
    }
    let Ok(mut metric) = Metric::decode(bytes) else {
        return Err(Flaw::new(Reason::Syntax, "the metric is broken"));
    };
    let labels = labels(std::mem::take(&mut metric.label), limits)?;
    let bound = match kind {
        MetricKind::Histogram | MetricKind::GaugeHistogram => "le",
        MetricKind::Summary => "quantile",
        _ => "",
    };
    if labels.iter().any(|(name, _)| name == bound) {
        return Err(Flaw::new(Reason::Label, "the label of a bound where none is"));
    }
    let (value, extras) = value(kind, metric, limits)?;
    if let Value::Number(number) = value {
        check::number(kind, name, &labels, number)?;
    }
    let mut flaws = Vec::new();
    let read = Read {
        value,
        created: created(extras.created, &mut flaws),
        exemplars: exemplars(extras.exemplars, limits, &mut flaws),
    };
    let point = book.point((None, family), labels)?;
    if point.parts.whole.is_some() {
        return Err(Flaw::new(Reason::Duplicate, "the series is there twice"));
    }
    point.parts.whole = Some(read.value);
    point.created = read.created;
    point.exemplars = read.exemplars;
    for flaw in flaws {
        book.faults.tell(None, flaw, name);
    }
    Ok(())
}

fn labels(pairs: Vec<message::LabelPair>, limits: &Limits) -> Result<Labels, Flaw> {
    if pairs.len() > limits.labels {
        return Err(Flaw::new(Reason::Limit, "too many labels"));
    }
    let pair = |pair: message::LabelPair| {
        let (name, value) = (utf8(&pair.name)?, utf8(&pair.value)?);
        check::label(name, value, limits)?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let mut labels = pairs.into_iter().map(pair).collect::<Result<Labels, _>>()?;
    check::label_set(&mut labels)?;
    Ok(labels)
}

fn value(kind: MetricKind, metric: Metric, limits: &Limits) -> Result<(Value, Extras), Flaw> {
    const OTHER: Flaw = Flaw::new(Reason::Kind, "the value is of another kind");
    Ok(match kind {
        MetricKind::Counter => {
            let counter = metric.counter.ok_or(OTHER)?;
            let exemplar = counter.exemplar.map(|exemplar| (f64::INFINITY, exemplar));
            let exemplars = exemplar.into_iter().collect();
            (Value::Number(counter.value), Extras { created: counter.created, exemplars })
        }
        MetricKind::Gauge => (Value::Number(metric.gauge.ok_or(OTHER)?.value), Extras::default()),
        MetricKind::Summary => {
            let summary = metric.summary.ok_or(OTHER)?;
            if summary.quantile.len() > limits.buckets {
                return Err(Flaw::new(Reason::Limit, "too many quantiles"));
            }
            let quantiles = summary.quantile.iter().map(|it| (it.quantile, it.value)).collect();
            let quantiles = once(quantiles, Reason::Summary)?;
            let made = check::summary(quantiles, Some(summary.sum), Some(summary.count as f64))?;
            let created = summary.created;
            (Value::Summary(made), Extras { created, ..Extras::default() })
        }
        MetricKind::Histogram | MetricKind::GaugeHistogram => {
            let (made, extras) = histogram(metric.histogram.ok_or(OTHER)?, limits)?;
            (Value::Histogram(made), extras)
        }
        _ => (Value::Number(metric.untyped.ok_or(OTHER)?.value), Extras::default()),
    })
}

fn histogram(read: message::Histogram, limits: &Limits) -> Result<(Histogram, Extras), Flaw> {
    // The bucket +Inf is not counted: it may be left out.
    if read.bucket.len() > limits.buckets || read.exemplars.len() > limits.buckets {
        return Err(Flaw::new(Reason::Limit, "too many buckets"));
    }
    let float = read.count_float > 0.0
        || read.zero_count_float > 0.0
        || !read.positive_count.is_empty()
        || !read.negative_count.is_empty();
    let count = if float { read.count_float } else { read.count as f64 };
    let below = |bucket: &message::Bucket| {
        if float { bucket.cumulative_count_float } else { bucket.cumulative_count as f64 }
    };
    let buckets = read.bucket.iter().map(|bucket| (bucket.upper_bound, below(bucket))).collect();
    let mut buckets = once(buckets, Reason::Histogram)?;
    if buckets.last().is_none_or(|(bound, _)| *bound < f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    let native = native::read(&read, count, float, limits.buckets)?;
    let made = check::histogram(buckets, Some(read.sum), Some(count), native)?;
    let classic = read.bucket.into_iter();
    let classic = classic.filter_map(|bucket| Some((bucket.upper_bound, bucket.exemplar?)));
    let native = read.exemplars.into_iter().map(|exemplar| (f64::INFINITY, exemplar));
    let exemplars = classic.chain(native).collect();
    Ok((made, Extras { created: read.created, exemplars }))
}

/// Bounds in order, if each is a number and there once.
fn once(mut bounds: Vec<(f64, f64)>, reason: Reason) -> Result<Vec<(f64, f64)>, Flaw> {
    if bounds.iter().any(|(bound, _)| bound.is_nan()) {
        return Err(Flaw::new(reason, "a bound is no number"));
    }
    if check::remove_repeated(&mut bounds) {
        return Err(Flaw::new(Reason::Duplicate, "a bound is there twice"));
    }
    Ok(bounds)
}

fn exemplars(
    read: Vec<(f64, message::Exemplar)>,
    limits: &Limits,
    flaws: &mut Vec<Flaw>,
) -> Vec<Exemplar> {
    let mut kept = Vec::new();
    for (bound, read) in read {
        let made = labels(read.label, limits)
            .map(|labels| Exemplar {
                labels,
                value: read.value,
                timestamp: seconds(read.timestamp),
            })
            .and_then(|mut exemplar| check::exemplar(&mut exemplar).map(|()| exemplar));
        match made {
            Ok(exemplar) if exemplar.value <= bound => kept.push(exemplar),
            Ok(_) => flaws.push(Flaw::new(Reason::Exemplar, "an exemplar where it cannot be")),
            Err(flaw) => flaws.push(Flaw::new(Reason::Exemplar, flaw.what)),
        }
    }
    kept
}

fn created(time: Option<message::Timestamp>, flaws: &mut Vec<Flaw>) -> Option<f64> {
    let created = seconds(time)?;
    if created < 0.0 {
        flaws.push(Flaw::new(Reason::Value, "the time is none"));
        return None;
    }
    Some(created)
}

fn seconds(time: Option<message::Timestamp>) -> Option<f64> {
    time.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9)
}

fn utf8(bytes: &[u8]) -> Result<&str, Flaw> {
    std::str::from_utf8(bytes).map_err(|_| Flaw::new(Reason::Encoding, "a text is not UTF-8"))
}

/// The name of a family that cannot be read, for people.
fn name_of(message: &[u8]) -> &[u8] {
    let name = message::fields(message).map_while(|field| field).find_map(|field| match field {
        (1, Field::Bytes(name)) => Some(name),
        _ => None,
    });
    name.unwrap_or_default()
}
