//! What a histogram makes of its samples, against plain models of it.

use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::metric::{Buckets, BucketsError, Histogram, NativeBuckets};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::page::Page;
use proptest::prelude::*;

const INVALID: &str = "dynamo_metrics_invalid_samples_total";

/// The bound of native bucket `index`, to a few units in the last place.
fn bound(schema: u8, index: i64) -> f64 {
    let steps = 1_i64 << schema;
    let whole = index.div_euclid(steps);
    let part = (index.rem_euclid(steps) as f64 / steps as f64).exp2();
    // In two halves, since one power of two may not be a number.
    let half = i32::try_from(whole / 2).unwrap();
    part * 2_f64.powi(half) * 2_f64.powi(i32::try_from(whole).unwrap() - half)
}

/// Whether `value` is too near to a bound that is no whole power of two to say on which side it is.
fn is_doubtful(schema: u8, index: i64, value: f64) -> bool {
    let near = |index: i64| {
        let bound = bound(schema, index);
        index.rem_euclid(1 << schema) != 0 && (value - bound).abs() <= bound * 1e-14
    };
    near(index - 1) || near(index) || near(index + 1)
}

/// The index of the bucket that `value` falls into, without regard to any range.
#[expect(clippy::cast_possible_truncation, reason = "exponents of floats are small")]
fn index_of(schema: u8, value: f64) -> i64 {
    let mut index = (value.log2() * f64::from(1_u32 << schema)).ceil() as i64;
    while bound(schema, index) < value {
        index += 1;
    }
    while bound(schema, index - 1) >= value {
        index -= 1;
    }
    index
}

fn is_sample(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// A schema with a range that takes at most 640 buckets.
fn native() -> impl Strategy<Value = NativeBuckets> {
    (0..=8_u8).prop_flat_map(|schema| {
        let widest = (600.0 / f64::from(1_u32 << schema)).min(1_900.0);
        (-1_021.0..1_000.0_f64, 0.01..widest).prop_filter_map("range", move |(low, octaves)| {
            let high = (low + octaves).min(1_022.0);
            NativeBuckets::new(schema, low.exp2(), high.exp2()).ok()
        })
    })
}

/// Samples of every class of floats, and many that lie about the bounds of `native`.
fn samples(native: NativeBuckets) -> impl Strategy<Value = Vec<f64>> {
    let (schema, first) = (native.schema(), i64::from(native.first_index()));
    let at_a_bound = (first - 3..first + 650, -3..=3_i64).prop_map(move |(index, off)| {
        let bound = bound(schema, index).min(f64::MAX);
        f64::from_bits(bound.to_bits().saturating_add_signed(off))
    });
    let sample = prop_oneof![
        any::<f64>(),
        prop::num::f64::ANY,
        prop::num::f64::SUBNORMAL,
        0.0..100.0_f64,
        at_a_bound,
        prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE, f64::MAX, f64::INFINITY, f64::NAN]),
    ];
    prop::collection::vec(sample, 0..200)
}

/// Upper bounds in increasing order.
fn bounds() -> impl Strategy<Value = Vec<f64>> {
    let bound = prop_oneof![
        0.0..10.0_f64,
        prop::sample::select(vec![0.0, 0.1, 1.0, 2.0, 5e-324, f64::MIN_POSITIVE, f64::MAX]),
        prop::num::f64::POSITIVE | prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL,
    ];
    prop::collection::vec(bound, 1..=256).prop_map(|mut bounds| {
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    })
}

fn histogram(bounds: &[f64], native: Option<NativeBuckets>) -> (Registry, Histogram) {
    let registry = Registry::new();
    let mut builder = registry.histogram("h", "").buckets(bounds.iter().copied());
    if let Some(native) = native {
        builder = builder.native(native);
    }
    let histogram = builder.register().unwrap();
    (registry, histogram)
}

fn linear_counts(bounds: &[f64], samples: impl IntoIterator<Item = (f64, u64)>) -> Vec<u64> {
    let mut counts = vec![0; bounds.len() + 1];
    for (sample, n) in samples {
        if is_sample(sample) {
            counts[bounds.iter().take_while(|bound| **bound < sample).count()] += n;
        }
    }
    counts
}

fn invalid(registry: &Registry) -> f64 {
    Page::read(&encode::text(registry)).sum(INVALID, &[]).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..<_>::default() })]

    #[test]
    fn a_native_range_is_widened_to_the_next_bounds(
        schema in 0..=8_u8, low in -1_021.0..900.0_f64, octaves in 0.01..=2.0_f64,
    ) {
        let (low, high) = (low.exp2(), (low + octaves).exp2());
        let native = NativeBuckets::new(schema, low, high).unwrap();
        let (_registry, histogram) = histogram(&[1.0], Some(native));
        let first = i64::from(native.first_index());
        let zero = bound(schema, first - 1);
        prop_assert!((native.zero_threshold() - zero).abs() <= zero * 1e-14);
        prop_assert!(native.zero_threshold() <= low && low < bound(schema, first) * (1.0 + 1e-14));
        // The last of the buckets is for what lies above the range.
        let snapshot = histogram.snapshot();
        let length = snapshot.native().unwrap().counts().len();
        let last = first - 2 + i64::try_from(length).unwrap();
        prop_assert!(bound(schema, last) >= high * (1.0 - 1e-14), "{last}");
        prop_assert!(bound(schema, last - 1) < high * (1.0 + 1e-14), "{last}");
    }

    #[test]
    fn native_buckets_are_those_of_the_model(
        (native, samples) in native().prop_flat_map(|native| (Just(native), samples(native)))
    ) {
        let (registry, histogram) = histogram(&[0.5, 1.0, 8.0], Some(native));
        let (schema, first) = (native.schema(), i64::from(native.first_index()));
        let length = histogram.snapshot().native().unwrap().counts().len();
        let (mut zero, mut counts, mut all) = (0_u64, vec![0_u64; length], Vec::new());
        for sample in samples {
            if is_sample(sample) && sample > native.zero_threshold() {
                let index = index_of(schema, sample);
                if is_doubtful(schema, index, sample) {
                    continue;
                }
                let at = usize::try_from(index - first).unwrap();
                counts[at.min(length - 1)] += 1;
            } else if is_sample(sample) {
                zero += 1;
            }
            histogram.observe(sample);
            all.push(sample);
        }
        let seen = histogram.snapshot();
        let seen_native = seen.native().unwrap();
        prop_assert_eq!(seen_native.buckets(), &native);
        prop_assert_eq!(seen_native.zero_count(), zero);
        prop_assert_eq!(seen_native.counts(), counts.as_slice());
        prop_assert_eq!(zero + counts.iter().sum::<u64>(), seen.count());
        let ones = all.iter().map(|sample| (*sample, 1));
        prop_assert_eq!(seen.counts(), linear_counts(&[0.5, 1.0, 8.0], ones));
        let dropped = all.iter().filter(|sample| !is_sample(**sample)).count();
        prop_assert_eq!(invalid(&registry), dropped as f64);
    }

    #[test]
    fn classic_buckets_are_a_linear_count(
        (bounds, native) in (bounds(), prop::option::of(native())),
        free in prop::collection::vec((prop::num::f64::ANY, 0..5_u64), 0..50),
        near in prop::collection::vec((any::<prop::sample::Index>(), -1..=1_i64, 0..5_u64), 0..100),
    ) {
        let (_registry, histogram) = histogram(&bounds, native);
        let near = near.into_iter().map(|(at, off, n)| {
            let bits = at.get(&bounds).to_bits();
            (f64::from_bits(bits.saturating_add_signed(off)), n)
        });
        let all: Vec<_> = free.into_iter().chain(near).collect();
        for (sample, n) in &all {
            histogram.observe_n(*sample, *n);
        }
        let (seen, counts) = (histogram.snapshot(), linear_counts(&bounds, all));
        prop_assert_eq!(seen.bounds(), bounds);
        prop_assert_eq!(seen.counts(), counts.as_slice());
        prop_assert_eq!(seen.count(), counts.iter().sum::<u64>());
        if let Some(native) = seen.native() {
            prop_assert_eq!(native.zero_count() + native.counts().iter().sum::<u64>(), seen.count());
        }
    }

    #[test]
    fn many_equal_samples_are_as_many_single_ones(
        samples in prop::collection::vec((0..1_000_u32, 0..20_u64), 0..30),
    ) {
        let native = Some(NativeBuckets::new(3, 0.5, 100.0).unwrap());
        let (_one, single) = histogram(&[1.0, 10.0, 500.0], native);
        let (_other, many) = histogram(&[1.0, 10.0, 500.0], native);
        for (sample, n) in samples {
            (0..n).for_each(|_| single.observe(sample.into()));
            many.observe_n(sample.into(), n);
        }
        prop_assert_eq!(single.snapshot(), many.snapshot());
    }

    #[test]
    fn durations_have_exact_sums_and_buckets(
        bounds in prop::collection::btree_set(0..3_000_000_000_u64, 1..20),
        free in prop::collection::vec(0..4_000_000_000_u64, 0..50),
        near in prop::collection::vec((any::<prop::sample::Index>(), -1..=1_i64), 0..50),
        native in prop::bool::ANY,
    ) {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
        let registry = Registry::new();
        let waits = registry.histogram("wait_seconds", "").unit(Unit::Seconds);
        let waits = waits.buckets(bounds.iter().copied().map(seconds));
        let waits = if native { waits.native(NativeBuckets::default()) } else { waits };
        let waits = waits.register().unwrap();
        let mut counts = vec![0; bounds.len() + 1];
        let near = near.into_iter().map(|(at, off)| at.get(&bounds).saturating_add_signed(off));
        let all: Vec<_> = free.into_iter().chain(near).collect();
        for sample in &all {
            waits.observe_duration(Duration::from_nanos(*sample));
            counts[bounds.iter().take_while(|bound| *bound < sample).count()] += 1;
        }
        let seen = waits.snapshot();
        prop_assert_eq!(seen.counts(), counts);
        prop_assert_eq!(seen.sum(), seconds(all.iter().sum()));
        if let Some(native) = seen.native() {
            prop_assert_eq!(native.zero_count() + native.counts().iter().sum::<u64>(), seen.count());
        }
    }

    #[test]
    fn quantiles_are_those_of_prometheus(
        counts in prop::collection::vec(0..20_u64, 5),
        q in 0.001..=1.0_f64,
    ) {
        let (_registry, histogram) = histogram(&[0.5, 1.0, 4.0, 10.0], None);
        for (sample, n) in [0.25, 0.75, 2.0, 7.0, 100.0].into_iter().zip(&counts) {
            histogram.observe_n(sample, *n);
        }
        let quantile = histogram.snapshot().quantile(q);
        let ends = [0.0, 0.5, 1.0, 4.0, 10.0];
        let rank = q * counts.iter().sum::<u64>() as f64;
        let mut below = 0.0;
        let mut expected = (counts.iter().sum::<u64>() > 0).then_some(10.0);
        for (bucket, count) in counts[..4].iter().enumerate() {
            let count = *count as f64;
            if expected.is_some() && below + count >= rank {
                let (start, end) = (ends[bucket], ends[bucket + 1]);
                expected = Some(start + (end - start) * ((rank - below) / count));
                break;
            }
            below += count;
        }
        match (quantile, expected) {
            (Some(is), Some(should)) => prop_assert!((is - should).abs() < 1e-9, "{is} {should}"),
            (is, should) => prop_assert_eq!(is, should),
        }
    }
}

#[test]
fn bad_samples_are_dropped_and_counted() {
    let (registry, histogram) = histogram(&[1.0], Some(NativeBuckets::default()));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -5e-324] {
        histogram.observe(bad);
    }
    assert_eq!((histogram.snapshot().count(), histogram.snapshot().sum()), (0, 0.0));
    assert_eq!(invalid(&registry), 5.0);
    let float = registry.float_counter("f_total", "").register().unwrap();
    for bad in [f64::NAN, f64::INFINITY, -0.5] {
        float.inc_by(bad);
    }
    assert_eq!((float.get(), invalid(&registry)), (0.0, 8.0));
    histogram.observe_n(f64::NAN, 4);
    histogram.observe_n(f64::NAN, 0);
    assert_eq!(invalid(&registry), 12.0);
    histogram.observe(-0.0);
    assert_eq!(histogram.snapshot().counts(), [1, 0]);
}

#[test]
fn a_time_that_nobody_measured_is_dropped_and_counted() {
    let registry = Registry::new();
    let waits = registry.histogram("wait_seconds", "").unit(Unit::Seconds).buckets([1.0]);
    let waits = waits.native(NativeBuckets::default()).register().unwrap();
    waits.observe_duration(Duration::from_secs(5));
    waits.observe_duration(Duration::MAX);
    waits.observe(f64::MAX);
    waits.observe_duration(Duration::from_nanos(u64::MAX / 2));
    let seen = waits.snapshot();
    assert_eq!((seen.counts(), seen.native().unwrap().counts().last()), (&[0, 2][..], Some(&1)));
    assert_eq!(invalid(&registry), 2.0);
    assert!(seen.sum() > 9.2e9, "two more would have wrapped it");
}

#[test]
fn a_timer_observes_what_the_clock_moved() {
    let time = Manual::new();
    time.run(|| {
        let registry = Registry::new();
        let waits = registry.histogram("wait_seconds", "").unit(Unit::Seconds).register().unwrap();
        let timer = waits.start_timer();
        time.advance(Duration::from_nanos(1_234_567_891));
        assert_eq!(timer.observe(), Duration::from_nanos(1_234_567_891));
        assert_eq!(waits.snapshot().sum(), 1.234_567_891);
    });
}

#[test]
fn ranges_that_are_none_are_refused() {
    let error = |schema, low, high| NativeBuckets::new(schema, low, high).unwrap_err();
    let scale = |low, high| assert!(matches!(error(3, low, high), BucketsError::Scale { .. }));
    assert_eq!(error(9, 1.0, 2.0), BucketsError::Schema(9));
    assert_eq!(error(u8::MAX, 1.0, 2.0), BucketsError::Schema(u8::MAX));
    for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0)] {
        scale(low, high);
    }
    for high in [f64::INFINITY, f64::NAN, -1.0] {
        scale(1.0, high);
    }
    scale(5e-324, 1.0);
    scale(f64::MIN_POSITIVE.next_down(), 1.0);
    assert_eq!(error(8, 1.0, 8.0), BucketsError::TooMany(768));
    assert!(matches!(error(0, f64::MIN_POSITIVE, 1e300), BucketsError::TooMany(_)));
    assert!(NativeBuckets::new(8, 1.0, 5.65).is_ok());
    let ends = NativeBuckets::new(0, f64::MIN_POSITIVE, 0.5).unwrap_err();
    assert!(matches!(ends, BucketsError::TooMany(1_021)), "{ends}");
}

#[test]
fn the_ends_of_the_floats_are_ranges_too() {
    for native in
        [NativeBuckets::new(8, f64::MIN_POSITIVE, 3e-308), NativeBuckets::new(8, 1e308, f64::MAX)]
    {
        let (_registry, histogram) = histogram(&[1.0], Some(native.unwrap()));
        for sample in [0.0, 5e-324, f64::MIN_POSITIVE, 2.9e-308, 1.0, 1e308, 1.5e308, f64::MAX] {
            histogram.observe(sample);
        }
        let seen = histogram.snapshot();
        let native = seen.native().unwrap();
        assert_eq!(native.zero_count() + native.counts().iter().sum::<u64>(), 8);
    }
}

#[test]
fn bounds_that_are_none_are_refused() {
    let error = |bounds: &[f64]| Buckets::new(bounds.iter().copied()).unwrap_err();
    assert_eq!(error(&[]), BucketsError::Empty);
    assert_eq!(error(&[1.0, f64::INFINITY]), BucketsError::NotFinite(f64::INFINITY));
    assert!(matches!(error(&[f64::NAN]), BucketsError::NotFinite(bound) if bound.is_nan()));
    assert_eq!(error(&[-1.0, 1.0]), BucketsError::Negative(-1.0));
    assert_eq!(error(&[2.0, 1.0]), BucketsError::Order { before: 2.0, after: 1.0 });
    let many = |n| Buckets::new((0..n).map(f64::from));
    assert_eq!(many(257).unwrap_err(), BucketsError::TooMany(257));
    assert_eq!(many(256).unwrap().bounds().len(), 256);
}
