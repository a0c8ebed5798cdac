//! Histograms in protobuf: classic buckets, and native ones beside them.

use super::field::{self, Side};
use super::wire::Message;
use super::{write_created, write_exemplar};
use crate::encode::number::{is_whole, to_whole};
use crate::metric::foreign::{Histogram, Native};
use crate::metric::visit::Series;
use crate::metric::{HistogramSnapshot, NativeSnapshot};

/// Empty buckets that are written as such, since another span would take more.
const GAP: i64 = 2;

/// Writes a histogram of ours.
pub(super) fn write_own(out: &mut Message, series: &Series<'_>, histogram: &HistogramSnapshot) {
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
    write_created(out, field::HISTOGRAM_CREATED, series);
}

/// Writes a histogram, or a gauge histogram, that somebody else keeps.
pub(super) fn write_foreign(out: &mut Message, series: &Series<'_>, histogram: &Histogram) {
    let native = histogram.native.as_ref();
    let counts = histogram.buckets.iter().map(|(_, below)| *below).chain([histogram.count]);
    // All counts are whole, or all are told as floats.
    let whole = counts.chain(native.into_iter().flat_map(Native::counts)).all(is_whole);
    let count = |out: &mut Message, (integer, float): (u32, u32), count: f64| {
        if whole { out.unsigned(integer, to_whole(count)) } else { out.float(float, count) }
    };
    count(out, (field::HISTOGRAM_COUNT, field::HISTOGRAM_COUNT_FLOAT), histogram.count);
    if let Some(sum) = histogram.sum {
        out.float(field::HISTOGRAM_SUM, sum);
    }
    let mut low = f64::NEG_INFINITY;
    for &(bound, below) in &histogram.buckets {
        let exemplar = series.exemplars.between(std::mem::replace(&mut low, bound), bound).next();
        if bound.is_finite() || exemplar.is_some() {
            out.nested(field::HISTOGRAM_BUCKET, |bucket| {
                count(bucket, (field::BUCKET_COUNT, field::BUCKET_COUNT_FLOAT), below);
                bucket.float(field::BUCKET_BOUND, bound);
                if let Some(exemplar) = &exemplar {
                    write_exemplar(bucket, field::BUCKET_EXEMPLAR, exemplar);
                }
            });
        }
    }
    if let Some(native) = native {
        out.signed(field::HISTOGRAM_SCHEMA, native.schema.into());
        out.float(field::HISTOGRAM_ZERO_THRESHOLD, native.zero_threshold);
        let zero = (field::HISTOGRAM_ZERO_COUNT, field::HISTOGRAM_ZERO_COUNT_FLOAT);
        count(out, zero, native.zero_count);
        for (side, buckets) in [
            (field::HISTOGRAM_NEGATIVE, &native.negative),
            (field::HISTOGRAM_POSITIVE, &native.positive),
        ] {
            write_spans(out, side, &spans(buckets.iter().map(|(index, _)| (*index).into()), 0));
            let counts = buckets.iter().map(|(_, count)| *count);
            if whole {
                write_counts(out, side, counts.map(to_whole));
            } else {
                out.packed_float(side.count, counts);
            }
        }
        if native.positive.is_empty() && native.negative.is_empty() {
            write_empty(out);
        }
        for exemplar in series.exemplars.between(f64::NEG_INFINITY, f64::INFINITY) {
            // Without its time one has no place here.
            if exemplar.timestamp().is_some() {
                write_exemplar(out, field::HISTOGRAM_EXEMPLAR, &exemplar);
            }
        }
    }
    write_created(out, field::HISTOGRAM_CREATED, series);
}

impl Native {
    fn counts(&self) -> impl Iterator<Item = f64> {
        let buckets = self.positive.iter().chain(&self.negative);
        buckets.map(|(_, count)| *count).chain([self.zero_count])
    }
}

fn write_native(out: &mut Message, native: NativeSnapshot<'_>) {
    out.signed(field::HISTOGRAM_SCHEMA, native.buckets().schema().into());
    out.float(field::HISTOGRAM_ZERO_THRESHOLD, native.buckets().zero_threshold());
    out.unsigned(field::HISTOGRAM_ZERO_COUNT, native.zero_count());
    let (first, counts) = (i64::from(native.buckets().first_index()), native.counts());
    let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let indices = filled.map(|(i, _)| first + i64::try_from(i).unwrap_or_default());
    let spans = spans(indices, GAP);
    // The gaps within a span are buckets of it.
    write_spans(out, field::HISTOGRAM_POSITIVE, &spans);
    let counts = spans.iter().flat_map(|&(start, length)| {
        let start = usize::try_from(start - first).unwrap_or_default();
        counts.get(start..start + length).unwrap_or_default()
    });
    write_counts(out, field::HISTOGRAM_POSITIVE, counts.copied());
}

/// Says that a histogram has native buckets, though none is filled.
fn write_empty(out: &mut Message) {
    out.nested(field::HISTOGRAM_POSITIVE.span, |_| {});
}

fn write_spans(out: &mut Message, side: Side, spans: &[(i64, usize)]) {
    // The first offset is an index, the others are gaps.
    let mut end = 0;
    for &(start, length) in spans {
        out.nested(side.span, |span| {
            span.signed(field::SPAN_OFFSET, start - end);
            span.unsigned(field::SPAN_LENGTH, length as u64);
        });
        end = after(start, length);
    }
}

fn write_counts(out: &mut Message, side: Side, counts: impl Iterator<Item = u64>) {
    let mut before = 0;
    let deltas = counts.map(|count| {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        count - std::mem::replace(&mut before, count)
    });
    out.packed_signed(side.delta, deltas);
}

/// The index after a run of buckets.
fn after(start: i64, length: usize) -> i64 {
    start.saturating_add(i64::try_from(length).unwrap_or(i64::MAX))
}

/// Runs of buckets to write, as starts and lengths: those of rising indices, with gaps of so many
/// closed.
fn spans(indices: impl Iterator<Item = i64>, gap: i64) -> Vec<(i64, usize)> {
    let mut spans: Vec<(i64, usize)> = Vec::new();
    for i in indices {
        match spans.last_mut() {
            Some((start, length)) if i - after(*start, *length) <= gap => {
                *length = usize::try_from(i + 1 - *start).unwrap_or(*length);
            }
            _ => spans.push((i, 1)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_buckets_close_small_gaps() {
        assert_eq!(spans([].into_iter(), GAP), []);
        assert_eq!(spans([1, 4, 8].into_iter(), GAP), [(1, 4), (8, 1)]);
        assert_eq!(spans([-1, 0, 1].into_iter(), GAP), [(-1, 3)]);
        assert_eq!(spans([-1, 0, 2].into_iter(), 0), [(-1, 2), (2, 1)]);
    }
}
