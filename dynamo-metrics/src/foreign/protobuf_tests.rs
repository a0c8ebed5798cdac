//! Pages of protobuf, right and wrong.

use proptest::prelude::*;
use prost::Message as _;

use super::message::{
    self, Bucket, Counter, LabelPair, Metric, Number, Quantile, Span, Summary, Timestamp,
};
use super::{Limits, Parsed, Reason, Value, protobuf};
use crate::metric::MetricKind;

fn varint(number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encode_length_delimiter(number, &mut bytes).unwrap();
    bytes
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [vec![(number << 3) | 2], varint(content.len()), content.to_vec()].concat()
}

/// A family after its length.
fn page(name: &str, kind: u8, metrics: &[Metric]) -> Vec<u8> {
    // Metrics first: fields come in any order.
    let metrics = metrics.iter().flat_map(|metric| field(4, &metric.encode_to_vec()));
    let rest = [vec![0x18, kind], field(1, name.as_bytes()), field(2, b"Help.")].concat();
    let message: Vec<u8> = metrics.chain(rest).collect();
    [varint(message.len()), message].concat()
}

fn label(name: &str, value: &str) -> LabelPair {
    LabelPair { name: name.into(), value: value.into() }
}

fn gauge(label: &[LabelPair], value: f64) -> Metric {
    let gauge = Some(Number { value });
    Metric { label: label.to_vec(), gauge, ..Metric::default() }
}

fn of_histogram(histogram: message::Histogram) -> Metric {
    Metric { histogram: Some(histogram), ..Metric::default() }
}

fn read(page: &[u8]) -> Parsed {
    protobuf::read(page, &Limits::default())
}

fn totals(page: &[u8]) -> Vec<(Reason, u64)> {
    let parsed = read(page);
    assert!(parsed.families.iter().all(|family| family.name == "good"), "{parsed:?}");
    parsed.totals
}

#[test]
fn every_kind_is_read() {
    let created = Some(Timestamp { seconds: 5, nanos: 500_000_000 });
    let label = vec![label("b", "é"), label("c", ""), label("a", "1")];
    let exemplar = message::Exemplar { label: label.clone(), value: 0.5, timestamp: created };
    let counter = Counter { value: 3.0, exemplar: Some(exemplar.clone()), created };
    let counter = Metric { label, counter: Some(counter), ..Metric::default() };
    let quantile = vec![Quantile { quantile: 0.5, value: 2.0 }];
    let summary = Summary { count: 4, sum: 9.0, quantile, created };
    let summary = Metric { summary: Some(summary), ..Metric::default() };
    let bucket = Bucket {
        cumulative_count: 1,
        upper_bound: 1.0,
        exemplar: Some(exemplar),
        cumulative_count_float: 0.0,
    };
    let histogram = message::Histogram {
        count: 2,
        sum: 3.0,
        bucket: vec![bucket],
        schema: 3,
        positive_span: vec![Span { offset: -1, length: 2 }],
        positive_delta: vec![1, 0],
        created,
        ..message::Histogram::default()
    };
    let untyped = Metric { untyped: Some(Number { value: 7.0 }), ..Metric::default() };
    let pages = [
        page("c_total", 0, &[counter]),
        page("g", 1, &[gauge(&[], -1.0)]),
        page("s", 2, &[summary]),
        page("u", 3, &[untyped]),
        page("h", 4, &[of_histogram(histogram)]),
    ];
    let parsed = read(&pages.concat());
    assert_eq!(parsed.faults, []);
    let names: Vec<_> = parsed.families.iter().map(|it| (&*it.name, it.kind)).collect();
    let kinds = [
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Summary,
        MetricKind::Unknown,
        MetricKind::Histogram,
    ];
    assert_eq!(names, ["c_total", "g", "s", "u", "h"].into_iter().zip(kinds).collect::<Vec<_>>());
    assert_eq!(parsed.families[0].help, "Help.");
    let series: Vec<_> = parsed.families.iter().map(|family| &family.series[0]).collect();
    let labels = [("a", "1"), ("b", "é")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!((&series[0].labels[..], series[0].created), (&labels[..], Some(5.5)));
    assert_eq!(series[0].exemplars[0].timestamp, Some(5.5));
    assert_eq!(series[1].value, Value::Number(-1.0));
    let Value::Summary(summary) = &series[2].value else { panic!() };
    assert_eq!((&summary.quantiles[..], summary.count), (&[(0.5, 2.0)][..], Some(4.0)));
    let Value::Histogram(histogram) = &series[4].value else { panic!() };
    assert_eq!(histogram.buckets, [(1.0, 1.0), (f64::INFINITY, 2.0)]);
    assert_eq!(histogram.native.as_ref().unwrap().positive, [(-1, 1.0), (0, 1.0)]);
    assert_eq!(series[4].exemplars.len(), 1);
}

#[test]
fn what_is_bad_is_told_and_the_rest_stands() {
    let good = page("good", 1, &[gauge(&[], 1.0)]);
    let bad_label = LabelPair { name: b"a".to_vec(), value: b"\xff".to_vec() };
    let bucket = |upper_bound, cumulative_count| Bucket {
        cumulative_count,
        upper_bound,
        ..Bucket::default()
    };
    let histogram = |count, bucket| message::Histogram { count, bucket, ..<_>::default() };
    let le = Metric { label: vec![label("le", "1")], ..of_histogram(<_>::default()) };
    let quantile = vec![Quantile { quantile: 2.0, value: 2.0 }];
    let summary = Summary { quantile, ..Summary::default() };
    let summary = Metric { summary: Some(summary), ..Metric::default() };
    for (bad, reason) in [
        (page("a.b", 1, &[gauge(&[], 1.0)]), Reason::Name),
        (page("", 1, &[gauge(&[], 1.0)]), Reason::Name),
        (page("b", 9, &[gauge(&[], 1.0)]), Reason::Kind),
        (page("b", 0, &[gauge(&[], 1.0)]), Reason::Kind),
        (page("b", 1, &[gauge(&[bad_label], 1.0)]), Reason::Encoding),
        (page("b", 1, &[gauge(&[label("__a", "")], 1.0)]), Reason::Label),
        (page("b", 1, &[gauge(&[label("a", ""), label("a", "")], 1.0)]), Reason::Label),
        (page("b", 4, &[le]), Reason::Label),
        (page("b", 2, &[summary]), Reason::Summary),
        (page("b", 4, &[of_histogram(histogram(1, vec![bucket(1.0, 2)]))]), Reason::Histogram),
        (page("b", 4, &[of_histogram(histogram(1, vec![bucket(f64::NAN, 1)]))]), Reason::Histogram),
        (
            page("b", 4, &[of_histogram(histogram(1, vec![bucket(1.0, 1), bucket(1.0, 1)]))]),
            Reason::Duplicate,
        ),
        (vec![3, 0x0a, 9, b'a'], Reason::Syntax),
        (vec![2, 0x0b, 0x0c], Reason::Syntax),
        (vec![2, 0x08, 0x01], Reason::Syntax),
    ] {
        let page = [bad.clone(), good.clone()].concat();
        assert_eq!(totals(&page), [(reason, 1)], "{bad:?}");
        assert_eq!(read(&page).families.len(), 1, "{bad:?}");
    }
}

#[test]
fn a_series_is_there_once_and_a_family_in_one_piece() {
    let once = page("good", 1, &[gauge(&[], 1.0), gauge(&[label("a", "")], 2.0)]);
    assert_eq!(totals(&once), [(Reason::Duplicate, 1)]);
    let more = page("good", 1, &[gauge(&[label("a", "1")], 2.0)]);
    let parsed = read(&[once.clone(), more].concat());
    assert_eq!(parsed.families[0].series.len(), 2);
    assert_eq!(parsed.totals, [(Reason::Duplicate, 1), (Reason::Interleaved, 1)]);
    let other = page("good", 3, &[]);
    let twice = [(Reason::Duplicate, 1), (Reason::Kind, 1), (Reason::Interleaved, 1)];
    assert_eq!(totals(&[once, other].concat()), twice);
}

#[test]
fn lengths_are_checked_before_anything_is_made() {
    let good = page("good", 1, &[gauge(&[], 1.0)]);
    for end in [&[5][..], &[0xff; 9], &[0xff; 10], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x0a]] {
        let page = [&good, end].concat();
        assert_eq!(totals(&page), [(Reason::Truncated, 1)], "{end:?}");
    }
    let limits = Limits::default();
    let many = page("good", 1, &vec![Metric::default(); 1000]);
    let labels = page("good", 1, &[gauge(&vec![label("a", "b"); 10], 1.0)]);
    let buckets = message::Histogram { bucket: vec![<_>::default(); 10], ..<_>::default() };
    let buckets = page("good", 4, &[of_histogram(buckets)]);
    for (page, limits, reason) in [
        (&many, limits.clone(), Reason::Kind),
        (&labels, limits.clone().labels(9), Reason::Limit),
        (&labels, limits.clone().line(9), Reason::Limit),
        (&labels, limits.clone().bytes(9), Reason::Limit),
        (&buckets, limits.clone().buckets(9), Reason::Limit),
        (&good, limits.clone().series(0), Reason::Limit),
        (&good, limits.clone().families(0), Reason::Limit),
        (&good, limits.clone().text(3), Reason::Limit),
    ] {
        let parsed = protobuf::read(page, &limits);
        assert_eq!(parsed.families, []);
        assert_eq!(parsed.totals[0].0, reason);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let _ = read(&bytes);
        let good = page("good", 1, &[gauge(&[label("a", "b")], 1.0)]);
        let histogram = message::Histogram {
            count: 2,
            positive_span: vec![Span { offset: -1, length: 2 }],
            positive_delta: vec![1, 0],
            ..message::Histogram::default()
        };
        let mut spoiled = page("spoiled", 4, &[of_histogram(histogram)]);
        // The length stays, so that the next one is found.
        for (at, byte) in changes {
            let at = 1 + at.index(spoiled.len() - 1);
            spoiled[at] = byte;
        }
        let parsed = read(&[spoiled, good.clone()].concat());
        let whole = read(&good);
        prop_assert!(parsed.families.contains(&whole.families[0]));
    }
}
