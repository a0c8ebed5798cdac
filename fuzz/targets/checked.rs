//! What must hold of whatever was read from whatever bytes.

use std::collections::HashSet;

use dynamo_metrics::foreign::{self, Format, Histogram, Limits, Series, Value};
use dynamo_metrics::metric::MetricKind;

/// Reads a page within small limits, and panics if something bad came through.
pub fn parse(page: &[u8], format: Format) {
    let limits = Limits::default().families(20).series(50).buckets(20).labels(5).text(100);
    let parsed = foreign::parse(page, format, &limits.faults(10));
    assert!(parsed.families.len() <= 20 && parsed.faults.len() <= 10);
    assert!(parsed.families.iter().map(|family| family.series.len()).sum::<usize>() <= 50);
    let total: u64 = parsed.totals.iter().map(|(_, total)| total).sum();
    assert!(total >= parsed.faults.len() as u64);
    assert!(parsed.faults.iter().all(|fault| fault.text.len() < 400));

    let mut names = HashSet::new();
    for family in &parsed.families {
        assert!(is_name(&family.name, true) && names.insert(&family.name));
        assert!(family.help.len() <= 100 && !family.series.is_empty());
        let mut seen = HashSet::new();
        for series in &family.series {
            assert!(seen.insert(&series.labels), "twice: {series:?}");
            check(family.kind, series);
        }
    }
}

fn check(kind: MetricKind, series: &Series) {
    assert!(series.labels.len() <= 5);
    assert!(series.labels.is_sorted_by(|(a, _), (b, _)| a < b));
    for (name, value) in &series.labels {
        assert!(is_name(name, false) && !name.starts_with("__"));
        assert!(!value.is_empty() && value.len() <= 100);
    }
    assert!(series.created.is_none_or(|created| created.is_finite() && created >= 0.0));
    match (&series.value, kind) {
        (Value::Histogram(histogram), MetricKind::Histogram | MetricKind::GaugeHistogram) => {
            check_histogram(histogram);
        }
        (Value::Summary(summary), MetricKind::Summary) => {
            assert!(summary.quantiles.is_sorted_by(|(a, _), (b, _)| a < b));
            assert!(summary.quantiles.iter().all(|(quantile, _)| (0.0..=1.0).contains(quantile)));
        }
        (Value::Number(number), MetricKind::Counter) => assert!(*number >= 0.0),
        (Value::Number(number), MetricKind::Info) => assert!(*number == 1.0),
        (Value::Number(number), MetricKind::StateSet) => assert!(*number == 0.0 || *number == 1.0),
        (Value::Number(_), MetricKind::Gauge | MetricKind::Unknown) => {}
        other => panic!("{other:?}"),
    }
}

fn check_histogram(histogram: &Histogram) {
    let Histogram { buckets, count, native, .. } = histogram;
    assert!(buckets.len() <= 21 && count.is_finite() && *count >= 0.0);
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)));
    assert!(buckets.is_sorted_by(|(a, _), (b, _)| a < b));
    assert!(buckets.is_sorted_by(|(_, a), (_, b)| a <= b));
    if let Some(native) = native {
        assert!((-4..=8).contains(&native.schema));
        for side in [&native.positive, &native.negative] {
            assert!(side.len() <= 20 && side.is_sorted_by(|(a, _), (b, _)| a < b));
            assert!(side.iter().all(|(_, count)| count.is_finite() && *count >= 0.0));
        }
    }
}

fn is_name(name: &str, metric: bool) -> bool {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || (metric && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(valid)
}
