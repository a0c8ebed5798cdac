//! What others write, and what we write, reads back as what it was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;

use dynamo_metrics::encode;
use dynamo_metrics::foreign::{Format, Limits, Parsed, Series, Value, parse};
use dynamo_metrics::metric::visit::{self, Visitor};
use dynamo_metrics::metric::{ExemplarLabels, MetricKind, NativeBuckets};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::tools::python;
use proptest::prelude::*;

/// Lines by name and labels; bounds spelled our way.
type Lines = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn lines(parsed: &Parsed, created: bool) -> Lines {
    let mut lines = Lines::new();
    for family in &parsed.families {
        for series in &family.series {
            let mut add = |suffix: &str, bound: Option<(&str, f64)>, value| {
                let mut labels: BTreeMap<_, _> = series.labels.iter().cloned().collect();
                labels.extend(bound.map(|(name, bound)| (name.to_owned(), bound.to_string())));
                let base = match suffix {
                    "_created" => family.name.strip_suffix("_total").unwrap_or(&family.name),
                    _ => &family.name,
                };
                assert!(lines.insert((format!("{base}{suffix}"), labels), value).is_none());
            };
            let [sum, count] = match family.kind {
                MetricKind::GaugeHistogram => ["_gsum", "_gcount"],
                _ => ["_sum", "_count"],
            };
            match &series.value {
                Value::Number(number) => add("", None, *number),
                Value::Histogram(histogram) => {
                    for &(upper, below) in &histogram.buckets {
                        add("_bucket", Some(("le", upper)), below);
                    }
                    histogram.sum.into_iter().for_each(|value| add(sum, None, value));
                    // Not written where there are negative bounds, or by its own family.
                    add(count, None, histogram.count);
                }
                Value::Summary(summary) => {
                    for &(quantile, value) in &summary.quantiles {
                        add("", Some(("quantile", quantile)), value);
                    }
                    summary.sum.into_iter().for_each(|value| add(sum, None, value));
                    summary.count.into_iter().for_each(|value| add(count, None, value));
                }
                other => panic!("{other:?}"),
            }
            series.created.filter(|_| created).into_iter().for_each(|at| add("_created", None, at));
        }
    }
    lines
}

fn same(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan())
}

#[test]
fn pages_of_python_are_read_without_a_fault() {
    let folder = std::env::temp_dir();
    let file = |format: &str| folder.join(format!("foreign-{}.{format}", std::process::id()));
    let pages = [file("text"), file("openmetrics")];
    let output = python("write_pages.py").args(&pages).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples: Vec<(String, BTreeMap<String, String>, String)> =
        serde_json::from_slice(&output.stdout).unwrap();
    let mut wanted = Lines::new();
    for (name, mut labels, value) in samples {
        labels.retain(|_, value| !value.is_empty());
        if let Some(bound) = labels.get_mut("le") {
            *bound = bound.parse::<f64>().unwrap().to_string();
        }
        wanted.insert((name, labels), value.parse().unwrap());
    }
    for (page, format) in pages.iter().zip([Format::Text, Format::OpenMetrics]) {
        let parsed = parse(&fs::read(page).unwrap(), format, &Limits::default());
        assert_eq!(parsed.faults, []);
        let mut lines = lines(&parsed, true);
        if format == Format::Text {
            // A gauge histogram is a histogram there, whose count is a gauge.
            lines.retain(|(name, _), _| name != "waiting_count");
        }
        // Python leaves the count out where there are negative bounds.
        lines.retain(|key, _| key.0 != "below_count" || wanted.contains_key(key));
        let missing: Vec<_> = wanted.keys().filter(|key| !lines.contains_key(key)).collect();
        let more: Vec<_> = lines.keys().filter(|key| !wanted.contains_key(key)).collect();
        assert!(missing.is_empty() && more.is_empty(), "{missing:?} {more:?}");
        for (key, value) in &lines {
            assert!(same(*value, wanted[key]), "{key:?}: {value} {}", wanted[key]);
        }
        let exemplars = parsed.families.iter().flat_map(|family| &family.series);
        let exemplars: usize = exemplars.map(|series| series.exemplars.len()).sum();
        assert_eq!(exemplars > 3, format == Format::OpenMetrics, "{exemplars}");
        let kinds = |kind| parsed.families.iter().filter(|family| family.kind == kind).count();
        assert!(kinds(MetricKind::Counter) > 3 && kinds(MetricKind::Histogram) >= 2);
        assert_eq!(kinds(MetricKind::StateSet) == 1, format == Format::OpenMetrics);
        fs::remove_file(page).unwrap();
    }
}

/// One metric of a registry.
#[derive(Debug, Clone)]
struct Made {
    name: String,
    help: String,
    label: String,
    kind: u8,
    values: Vec<f64>,
    total: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let text = "[a-z\\\\\"\n é#{},=]{0,8}";
    let values = prop::collection::vec(prop_oneof![-5.0..5.0, any::<f64>()], 0..5);
    ("[a-z]{1,3}(_[a-z]{1,2})?", text, text, 0..5_u8, values, any::<bool>()).prop_map(
        |(name, help, label, kind, values, total)| Made { name, help, label, kind, values, total },
    )
}

fn fill(registry: &Registry, all: &[Made]) {
    let trace = ExemplarLabels::new([("trace_id", "a\"b")]).unwrap();
    for Made { name, help, label, kind, values, total } in all {
        let suffix = if *total && *kind < 2 { "_total" } else { "" };
        let name = format!("{name}_seconds{suffix}");
        let (name, label) = (name.as_str(), label.as_str());
        // A name that is taken is none of ours.
        match kind {
            0 => {
                let counter = registry.counter(name, help).label("a", label).exemplars();
                let counter = counter.unit(Unit::Seconds).register();
                let _ = counter.map(|counter| counter.inc_by_with_exemplar(7, &trace));
            }
            1 => {
                let counter = registry.float_counter(name, help).label("a", label).register();
                let _ =
                    counter.map(|counter| values.iter().for_each(|&value| counter.inc_by(value)));
            }
            2 => {
                let gauge = registry.gauge(name, help).label("b", label).register();
                if let (Ok(gauge), Some(value)) = (gauge, values.last()) {
                    gauge.set(value.to_bits().cast_signed() >> 20);
                }
            }
            3 => {
                let gauge = registry.float_gauge(name, help).unit(Unit::Seconds).register();
                let _ = gauge.map(|gauge| values.iter().for_each(|&value| gauge.set(value)));
            }
            _ => {
                let histogram = registry.histogram(name, help).label("a", label).exemplars();
                let histogram = histogram.buckets([-1.0, 0.0, 0.5, 2.0, 1e6]).register();
                let _ = histogram.map(|histogram| {
                    for &value in values {
                        histogram.observe_with_exemplar(value, &trace);
                    }
                });
            }
        }
    }
}

/// What the registry itself says, as the parser should have it.
#[derive(Default)]
struct Told(Vec<ToldFamily>);

#[derive(Debug, PartialEq)]
struct ToldFamily {
    name: String,
    help: String,
    unit: Option<String>,
    kind: MetricKind,
    series: Vec<ToldSeries>,
}

/// Labels, buckets, the value or sum, and how many exemplars there are.
type ToldSeries = (Vec<(String, String)>, Vec<(f64, f64)>, f64, usize);

impl Visitor for Told {
    fn family(&mut self, family: &visit::Family<'_>) {
        self.0.push(ToldFamily {
            name: family.name.to_owned(),
            help: family.help.to_owned(),
            unit: family.unit.map(str::to_owned),
            kind: family.kind,
            series: Vec::new(),
        });
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let own = |(name, value): (&str, Cow<'_, str>)| (name.to_owned(), value.into_owned());
        let labels = series.labels.iter().filter(|(_, value)| !value.is_empty()).map(own);
        let float = |number| match number {
            visit::Number::Unsigned(value) => value as f64,
            visit::Number::Signed(value) => value as f64,
            visit::Number::Float(value) => value,
        };
        let (mut buckets, mut exemplars) = (Vec::new(), 0);
        let value = match series.value {
            visit::Value::Counter(number) => {
                exemplars = usize::from(series.exemplars.counter().is_some());
                float(number)
            }
            visit::Value::Gauge(number) => float(number),
            visit::Value::Histogram(histogram) => {
                let mut below = 0;
                let bounds = histogram.bounds().iter().copied().chain([f64::INFINITY]);
                for (i, (bound, count)) in bounds.zip(histogram.counts()).enumerate() {
                    below += count;
                    buckets.push((bound, below as f64));
                    exemplars += usize::from(series.exemplars.bucket(i).is_some());
                }
                histogram.sum()
            }
            _ => panic!("a value of another kind"),
        };
        self.0.last_mut().unwrap().series.push((labels.collect(), buckets, value, exemplars));
    }
}

fn read_back(parsed: Parsed) -> Vec<ToldFamily> {
    let series = |series: Series| {
        let exemplars = series.exemplars.len();
        match series.value {
            Value::Number(number) => (series.labels, vec![], number, exemplars),
            Value::Histogram(it) => (series.labels, it.buckets, it.sum.unwrap(), exemplars),
            other => panic!("{other:?}"),
        }
    };
    let family = |family: dynamo_metrics::foreign::Family| ToldFamily {
        name: family.name,
        help: family.help,
        unit: family.unit,
        kind: family.kind,
        series: family.series.into_iter().map(series).collect(),
    };
    parsed.families.into_iter().map(family).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_we_write_reads_back_as_it_was(all in prop::collection::vec(made(), 0..8)) {
        let registry = Registry::new();
        fill(&registry, &all);
        let mut told = Told::default();
        registry.gather(&mut told);
        for format in [Format::OpenMetrics, Format::Text, Format::Protobuf] {
            let (page, open) = match format {
                Format::Text => (encode::text(&registry).into_bytes(), false),
                Format::OpenMetrics => (encode::openmetrics(&registry).into_bytes(), true),
                _ => (encode::protobuf(&registry), true),
            };
            let parsed = parse(&page, format, &Limits::default());
            prop_assert_eq!(&parsed.faults, &[], "{}", String::from_utf8_lossy(&page));
            let read = read_back(parsed);
            prop_assert_eq!(read.len(), told.0.len());
            for (read, told) in read.iter().zip(&told.0) {
                let unknown = format == Format::OpenMetrics
                    && told.kind == MetricKind::Counter
                    && !told.name.ends_with("_total");
                let kind = if unknown { MetricKind::Unknown } else { told.kind };
                // Blanks before it separate, however many they are.
                let help = if open { &told.help } else { told.help.trim_start_matches(' ') };
                prop_assert_eq!((&*read.name, &*read.help), (&*told.name, help));
                prop_assert_eq!(read.kind, kind);
                prop_assert_eq!(&read.unit, if open { &told.unit } else { &None });
                prop_assert_eq!(read.series.len(), told.series.len());
                for (read, told) in read.series.iter().zip(&told.series) {
                    prop_assert_eq!((&read.0, &read.1), (&told.0, &told.1));
                    prop_assert!(same(read.2, told.2));
                    prop_assert_eq!(read.3, if open && !unknown { told.3 } else { 0 });
                }
            }
        }
    }
}

#[test]
fn native_buckets_read_back_one_by_one() {
    let registry = Registry::new();
    let waits = registry.histogram("waits", "Waits.").native(NativeBuckets::default());
    let waits = waits.register().unwrap();
    for sample in [0.0, 1e-9, 0.001, 0.0011, 0.5, 0.5, 0.51, 3.0, 511.9, 512.0, 512.1, 1e9] {
        waits.observe(sample);
    }
    let parsed = parse(&encode::protobuf(&registry), Format::Protobuf, &Limits::default());
    assert_eq!(parsed.faults, []);
    let Value::Histogram(read) = &parsed.families[0].series[0].value else { panic!("{parsed:?}") };
    let native = read.native.as_ref().unwrap();
    let snapshot = waits.snapshot();
    let own = snapshot.native().unwrap();
    let first = own.buckets().first_index();
    let filled: Vec<_> = (first..).zip(own.counts()).filter(|(_, count)| **count > 0).collect();
    let positive = native.positive.iter().filter(|(_, count)| *count > 0.0);
    let told: Vec<_> = positive.map(|&(index, count)| (index, count)).collect();
    assert_eq!(told, filled.iter().map(|&(i, count)| (i, *count as f64)).collect::<Vec<_>>());
    assert_eq!((native.schema, native.zero_count), (3, own.zero_count() as f64));
    assert_eq!(native.zero_threshold, own.buckets().zero_threshold());
    assert_eq!((read.count, read.sum), (12.0, Some(snapshot.sum())));
    // Ends of the range: the last bucket but one ends there, what lies above is in the next.
    assert_eq!(told.last(), Some(&(9 * 8 + 1, 2.0)));
    assert!(parsed.families[0].series[0].created.is_some_and(|created| created > 1.7e9));
}

#[test]
fn a_gauge_is_no_time_of_creation_of_a_histogram() {
    let page = "# TYPE a_created gauge\na_created 1\n# TYPE a_total histogram\n\
                a_total_bucket{le=\"+Inf\"} 2\na_total_sum 3\na_total_count 2\n";
    let parsed = parse(page.as_bytes(), Format::Text, &Limits::default());
    assert_eq!(parsed.faults, []);
    let names: Vec<_> = parsed.families.iter().map(|family| family.name.as_str()).collect();
    assert_eq!(names, ["a_created", "a_total"]);
}
