//! Native histograms: spans and differences, resolved and checked.

use super::Native;
use super::fault::{Flaw, Reason};
use super::message::{Histogram, Span};
use super::number::is_count;

/// What schemas a page may have.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// The native buckets of a histogram with so many samples, if it has them.
pub(super) fn read(
    histogram: &Histogram,
    count: f64,
    float: bool,
    most: usize,
) -> Result<Option<Native>, Flaw> {
    let zero_count = if float { histogram.zero_count_float } else { histogram.zero_count as f64 };
    let native = !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
        || histogram.zero_threshold > 0.0
        || zero_count > 0.0;
    if !native {
        return Ok(None);
    }
    if !SCHEMAS.contains(&histogram.schema) {
        return Err(flaw("there is no such schema"));
    }
    if !is_count(histogram.zero_threshold) || !is_count(zero_count) {
        return Err(flaw("the zero bucket makes no sense"));
    }
    let side = |spans: &[Span], deltas: &[i64], counts: &[f64]| {
        let counts = if float { counts.to_vec() } else { running(deltas)? };
        resolve(spans, counts, most)
    };
    let h = histogram;
    let native = Native {
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count,
        positive: side(&h.positive_span, &h.positive_delta, &h.positive_count)?,
        negative: side(&h.negative_span, &h.negative_delta, &h.negative_count)?,
    };
    let buckets = native.positive.iter().chain(&native.negative);
    let all: f64 = zero_count + buckets.map(|(_, count)| count).sum::<f64>();
    // NaN is in no bucket. Sums of floats may be off by their last digits.
    let slack = count.abs() * 1e-9;
    if all > count + slack || (all < count - slack && !histogram.sum.is_nan()) {
        return Err(flaw("the native buckets have not all samples"));
    }
    Ok(Some(native))
}

/// Counts of their differences.
fn running(deltas: &[i64]) -> Result<Vec<f64>, Flaw> {
    let mut count = 0_i64;
    let counts = deltas.iter().map(|&delta| {
        count = count.checked_add(delta)?;
        (count >= 0).then_some(count as f64)
    });
    counts.collect::<Option<_>>().ok_or(flaw("a native bucket has less than no samples"))
}

/// Which bucket each count is of.
fn resolve(spans: &[Span], counts: Vec<f64>, most: usize) -> Result<Vec<(i32, f64)>, Flaw> {
    if counts.len() > most || spans.len() > most {
        return Err(Flaw::new(Reason::Limit, "too many buckets"));
    }
    if spans.iter().map(|span| u64::from(span.length)).sum::<u64>() != counts.len() as u64 {
        return Err(flaw("spans and buckets disagree"));
    }
    if !counts.iter().copied().all(is_count) {
        return Err(flaw("a native bucket has no count"));
    }
    let mut buckets = Vec::with_capacity(counts.len());
    let mut counts = counts.into_iter();
    let mut next = 0_i32;
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(flaw("spans overlap"));
        }
        let out_of_range = flaw("a native bucket is out of range");
        next = next.checked_add(span.offset).ok_or(out_of_range)?;
        for count in counts.by_ref().take(span.length as usize) {
            buckets.push((next, count));
            next = next.checked_add(1).ok_or(out_of_range)?;
        }
    }
    Ok(buckets)
}

const fn flaw(what: &'static str) -> Flaw {
    Flaw::new(Reason::Histogram, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(spans: &[(i32, u32)]) -> Vec<Span> {
        spans.iter().map(|&(offset, length)| Span { offset, length }).collect()
    }

    fn example() -> Histogram {
        Histogram {
            count: 7,
            sum: 1.5,
            schema: 3,
            zero_threshold: 1e-100,
            zero_count: 1,
            positive_span: spans(&[(-2, 2), (3, 1)]),
            positive_delta: vec![1, 1, -1],
            negative_span: spans(&[(0, 1)]),
            negative_delta: vec![2],
            ..Histogram::default()
        }
    }

    #[test]
    fn spans_and_differences_are_resolved() {
        let native = read(&example(), 7.0, false, 9).unwrap().unwrap();
        assert_eq!(native.positive, [(-2, 1.0), (-1, 2.0), (3, 1.0)]);
        assert_eq!(native.negative, [(0, 2.0)]);
        assert_eq!((native.schema, native.zero_count), (3, 1.0));
        assert_eq!(read(&Histogram::default(), 0.0, false, 9), Ok(None));
        // What marks a native histogram without samples.
        let empty = Histogram { positive_span: spans(&[(0, 0)]), ..Histogram::default() };
        assert!(read(&empty, 0.0, false, 9).unwrap().is_some());
    }

    #[test]
    fn floats_are_absolute() {
        let float = Histogram {
            zero_threshold: 1.0,
            zero_count_float: 0.5,
            positive_span: spans(&[(1, 2)]),
            positive_count: vec![0.25, 2.0],
            ..Histogram::default()
        };
        let native = read(&float, 2.75, true, 9).unwrap().unwrap();
        assert_eq!(native.positive, [(1, 0.25), (2, 2.0)]);
        assert!(read(&float, 3.0, true, 9).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_no_histogram() {
        type Spoil = fn(&mut Histogram);
        let spoils: &[Spoil] = &[
            |h| h.schema = 9,
            |h| h.schema = -53,
            |h| h.zero_threshold = -1.0,
            |h| h.zero_threshold = f64::NAN,
            |h| h.zero_count = 2,
            |h| h.zero_count = 0,
            |h| h.positive_delta = vec![1, -2, 5],
            |h| h.positive_delta = vec![i64::MAX, i64::MAX, 0],
            |h| h.positive_delta = vec![1, 1],
            |h| h.positive_span = spans(&[(-2, 2), (-1, 1)]),
            |h| h.positive_span = spans(&[(-2, u32::MAX), (3, u32::MAX)]),
            |h| h.positive_span = spans(&[(i32::MAX, 2), (3, 1)]),
        ];
        for (i, spoil) in spoils.iter().enumerate() {
            let mut histogram = example();
            spoil(&mut histogram);
            let flaw = read(&histogram, 7.0, false, 9).unwrap_err();
            assert_eq!(flaw.reason, Reason::Histogram, "{i}");
        }
        assert_eq!(read(&example(), 7.0, false, 2).unwrap_err().reason, Reason::Limit);
        // A sample that is NaN is in no bucket.
        let nan = Histogram { sum: f64::NAN, ..example() };
        assert!(read(&nan, 8.0, false, 9).is_ok() && read(&nan, 6.0, false, 9).is_err());
    }
}
