use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

use ::prometheus_client::collector::Collector;
use ::prometheus_client::encoding::text;
use ::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use ::prometheus_client::metrics::MetricType;
use ::prometheus_client::metrics::counter::{ConstCounter, Counter};
use ::prometheus_client::metrics::exemplar::{CounterWithExemplar, HistogramWithExemplars};
use ::prometheus_client::metrics::family::Family;
use ::prometheus_client::metrics::gauge::Gauge;
use ::prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig};
use ::prometheus_client::metrics::info::Info;
use ::prometheus_client::registry::{Registry as Theirs, Unit};

use crate::encode;
use crate::foreign::{Format, Limits, Parsed, Value, parse};
use crate::label::LabelValue;
use crate::metric::visit::{self, Visitor};
use crate::metric::{self, ExemplarLabels, MetricKind, NativeBuckets};
use crate::registry::Registry;
use crate::unit::Unit as OurUnit;

type Pairs = Vec<(String, String)>;

const NASTY: &str = "q\" b\\ n\nü \\n # EOF";

fn page(theirs: &Theirs) -> String {
    let mut page = String::new();
    text::encode(&mut page, theirs).unwrap();
    page
}

/// What they would serve, read by our own reader.
fn read(theirs: &Theirs) -> Parsed {
    let parsed = parse(page(theirs).as_bytes(), Format::OpenMetrics, &Limits::default());
    assert_eq!(parsed.totals, [], "{:?} in {}", parsed.faults, page(theirs));
    parsed
}

fn mounted(theirs: Theirs) -> (Registry, String) {
    let ours = Registry::new();
    ours.component("c").add_prometheus_client(theirs);
    let page = encode::openmetrics(&ours);
    (ours, page)
}

fn pairs(labels: &[(&str, &str)]) -> Pairs {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|there| there == *line), "{line} in {page}");
    }
}

#[test]
fn their_metrics_are_shown_with_the_scopes_labels() {
    let mut theirs = Theirs::with_prefix("app");
    let hits = Family::<Pairs, Counter>::default();
    theirs.register("hits", "Hits", hits.clone());
    hits.get_or_create(&pairs(&[("path", NASTY)])).inc_by(3);
    hits.get_or_create(&pairs(&[("dynamo_component", "theirs")])).inc();
    let level: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
    level.set(f64::NEG_INFINITY);
    theirs.register_with_unit("level", "Level", Unit::Seconds, level);
    theirs.register("build", "Build", Info::new(pairs(&[("version", "1")])));
    let waits = HistogramWithExemplars::<Pairs>::new([0.5, 1.0].into_iter());
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_500);
    waits.observe(0.75, Some(pairs(&[("trace_id", "ab\"c")])), Some(time));
    waits.observe(7.0, None, None);
    theirs.register("waits", "Waits", waits);
    let calls = CounterWithExemplar::<Pairs>::default();
    calls.inc_by(2, Some(pairs(&[("trace_id", "t")])), None);
    theirs.register("calls", "Calls", calls);

    let (_, page) = mounted(theirs);
    assert_lines(
        &page,
        &[
            "# HELP app_hits Hits.",
            "# TYPE app_hits counter",
            "app_hits_total{dynamo_component=\"c\",path=\"q\\\" b\\\\ n\\nü \\\\n # EOF\"} 3",
            "app_hits_total{dynamo_component=\"theirs\"} 1",
            "# UNIT app_level_seconds seconds",
            "app_level_seconds{dynamo_component=\"c\"} -Inf",
            "# TYPE app_build info",
            "app_build_info{dynamo_component=\"c\",version=\"1\"} 1",
            "app_waits_bucket{dynamo_component=\"c\",le=\"0.5\"} 0",
            "app_waits_bucket{dynamo_component=\"c\",le=\"1.0\"} 1 # {trace_id=\"ab\\\"c\"} 0.75 1.500",
            "app_waits_bucket{dynamo_component=\"c\",le=\"+Inf\"} 2",
            "app_waits_sum{dynamo_component=\"c\"} 7.75",
            "app_waits_count{dynamo_component=\"c\"} 2",
            "app_calls_total{dynamo_component=\"c\"} 2 # {trace_id=\"t\"} 2",
        ],
    );
    assert!(!page.contains("collect_errors"), "{page}");
    let parsed = parse(page.as_bytes(), Format::OpenMetrics, &Limits::default());
    assert_eq!((parsed.families.len(), parsed.totals), (5, Vec::new()));
}

/// Says what no registry of theirs lets be said.
#[derive(Debug)]
struct Odd(&'static str, &'static str);

impl Collector for Odd {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let metric = ConstCounter::new(7_u64);
        metric.encode(encoder.encode_descriptor(self.0, self.1, None, MetricType::Counter)?)
    }
}

#[test]
fn what_is_wrong_with_a_text_costs_that_text() {
    let mut theirs = Theirs::default();
    let forged = "Help\nforged 5\n# EOF\n# TYPE other gauge\\ \"q\"";
    theirs.register("first", forged, Counter::<u64>::default());
    theirs.register("na\nme 5\n# EOF", "Help", Counter::<u64>::default());
    theirs.register("na me", "Help", Counter::<u64>::default());
    for (i, help) in ["", "\n", "# TYPE ", "# HELP ", "\\n"].into_iter().enumerate() {
        let name = ["odd0", "odd1", "odd2", "odd3", "odd4"][i];
        theirs.register_collector(Box::new(Odd(name, help)));
    }
    theirs.register("last", "# HELP ", Counter::<u64>::default());
    let (ours, page) = mounted(theirs);
    let errors: Vec<_> =
        page.lines().filter(|line| line.contains("collect_errors_total{")).collect();
    assert!(!page.contains("\nforged") && !page.contains("\n# TYPE other"), "{page}");
    for name in ["odd0", "odd1", "odd2", "odd3", "odd4"] {
        assert_lines(&page, &[&format!("{name}_total{{dynamo_component=\"c\"}} 7")]);
    }
    assert_lines(
        &page,
        &[
            "# HELP first Help\\nforged 5\\n# EOF\\n# TYPE other gauge\\\\ \\\"q\\\".",
            "first_total{dynamo_component=\"c\"} 0",
            "# HELP last # HELP .",
            "# HELP odd2 # TYPE ",
            "# HELP odd4 \\\\n",
            "last_total{dynamo_component=\"c\"} 0",
        ],
    );
    // Names and the help that is a line's end; nothing else.
    assert!(!errors.is_empty() && errors.iter().all(|line| line.contains("prometheus_client")));
    let mut seen = Seen::default();
    ours.gather(&mut seen);
    assert_eq!(seen.0.iter().filter(|(name, ..)| !name.starts_with("dynamo_")).count(), 7);
}

#[test]
fn one_name_under_two_parts_of_a_registry_is_one_family() {
    let mut theirs = Theirs::default();
    for part in ["a", "b", "b"] {
        let label = (Cow::Borrowed("part"), Cow::Borrowed(part));
        let registry = theirs.sub_registry_with_label(label);
        registry.register("depth", "Depth", Gauge::<i64>::default());
        registry.register(format!("only_{part}"), "", Gauge::<i64>::default());
    }
    let (_, page) = mounted(theirs);
    assert_eq!(page.matches("# TYPE depth ").count(), 1, "{page}");
    assert_lines(
        &page,
        &[
            "depth{dynamo_component=\"c\",part=\"a\"} 0",
            "depth{dynamo_component=\"c\",part=\"b\"} 0",
        ],
    );
    // One series of each of two names is there twice.
    let twice = "reason=\"duplicate\",source=\"prometheus_client\"} 2\n";
    assert!(page.contains(twice) && page.matches("collect_errors_total{").count() == 1, "{page}");
}

#[test]
fn a_registry_that_cannot_be_read_to_its_end_is_told() {
    let mut theirs = Theirs::default();
    theirs.register("before", "", Counter::<u64>::default());
    theirs.register("native", "", Histogram::new_native(NativeHistogramConfig::default()));
    theirs.register("after", "", Counter::<u64>::default());
    let ours = Registry::new();
    ours.add_prometheus_client(theirs);
    ours.add_prometheus_client(|_: &mut dyn FnMut(&Theirs)| {});
    let page = encode::text(&ours);
    let errors =
        "dynamo_metrics_collect_errors_total{reason=\"failed\",source=\"prometheus_client\"} ";
    assert_lines(&page, &["before_total 0", &format!("{errors}2")]);
    assert!(!page.contains("after") && !page.contains("native"), "{page}");
}

#[test]
fn whatever_holds_a_registry_can_be_mounted() {
    let ours = Registry::new();
    let made = |name: &str| {
        let mut theirs = Theirs::default();
        theirs.register(name, "", Gauge::<i64>::default());
        theirs
    };
    ours.add_prometheus_client(made("plain"));
    ours.add_prometheus_client(&*Box::leak(Box::new(made("leaked"))));
    ours.add_prometheus_client(Arc::new(made("shared")));
    let locked = Arc::new(Mutex::new(made("locked")));
    ours.add_prometheus_client(Arc::clone(&locked));
    ours.add_prometheus_client(Arc::new(RwLock::new(made("read_locked"))));
    let within = Arc::new((made("within"), 7));
    ours.add_prometheus_client(move |read: &mut dyn FnMut(&Theirs)| read(&within.0));
    let shared = Arc::clone(&locked);
    let end = std::thread::spawn(move || {
        let _guard = shared.lock().unwrap();
        panic!("poison");
    });
    assert!(end.join().is_err());
    locked.clear_poison();
    locked.lock().unwrap().register("later", "", Gauge::<i64>::default());
    let page = encode::text(&ours);
    let names = ["plain", "leaked", "shared", "locked", "read_locked", "within", "later"];
    for name in names {
        assert_lines(&page, &[&format!("{name} 0")]);
    }
}

#[derive(LabelValue)]
enum Phase {
    Idle,
    Busy,
}

#[test]
fn our_metrics_are_theirs_too() {
    let ours = Registry::new();
    let scope = ours.component("a\"b").endpoint("e");
    let mut theirs = Theirs::default();

    let hits = scope.counter("hits_total", "").label("k", NASTY).exemplars().register().unwrap();
    hits.inc_by_with_exemplar(u64::MAX - 1, &ExemplarLabels::new([("trace_id", "a\"b")]).unwrap());
    theirs.register("hits", "Hits", hits);
    let work = ours.float_counter("work_total", "").register().unwrap();
    work.inc_by(0.5);
    theirs.register("work", "", work);
    let level = ours.gauge("level", "").register().unwrap();
    level.set(i64::MIN);
    theirs.register("level", "", level);
    let share = ours.float_gauge("share", "").register().unwrap();
    share.set(f64::NAN);
    theirs.register("share", "", share);
    let open = ours.up_down_counter("open", "").register().unwrap();
    open.dec();
    theirs.register("open", "", open);
    let info = ours.info("build_info", "").label("version", NASTY).register().unwrap();
    theirs.register("build", "", info);
    let phase = scope.state_set::<Phase>("phase", "").register().unwrap();
    phase.set(&Phase::Idle);
    phase.set(&Phase::Busy);
    theirs.register("phase", "", phase);
    let waits = scope
        .histogram("wait_seconds", "")
        .buckets([0.5, 1.0])
        .native(NativeBuckets::default())
        .register()
        .unwrap();
    for wait in [0.5, 0.75, 9.0] {
        waits.observe(wait);
    }
    theirs.register_with_unit("wait", "", Unit::Seconds, waits);
    // A family of theirs makes metrics of ours that no registry of ours shows.
    let family = Family::<Pairs, metric::Counter>::default();
    family.get_or_create(&pairs(&[("a", "1")])).inc();
    theirs.register("family", "", family);

    let parsed = read(&theirs);
    let find = |name: &str| parsed.families.iter().find(|family| family.name == name).unwrap();
    let value = |name: &str| match &find(name).series[0].value {
        Value::Number(number) => *number,
        other => panic!("{other:?}"),
    };
    let hits = &find("hits_total").series[0];
    let labels = [("dynamo_component", "a_b"), ("dynamo_endpoint", "e"), ("k", NASTY)];
    assert_eq!(hits.labels, pairs(&labels));
    assert_eq!(hits.exemplars[0].labels, pairs(&[("trace_id", "a\"b")]));
    assert!(hits.exemplars[0].timestamp.is_some());
    assert!(page(&theirs).contains("} 18446744073709551614 # {trace_id="), "{}", page(&theirs));
    assert!((value("work_total") - 0.5).abs() < 1e-9 && value("share").is_nan());
    assert!(page(&theirs).contains("\nlevel -9223372036854775808\n"));
    assert!((value("open") + 1.0).abs() < 1e-9);
    assert_eq!(find("build_info").kind, MetricKind::Info);
    assert_eq!(find("build_info").series[0].labels, pairs(&[("version", NASTY)]));
    let states = find("phase").series.iter();
    let states: Vec<_> = states.map(|s| (s.labels[2].1.as_str(), s.value.clone())).collect();
    assert_eq!(states, [("idle", Value::Number(0.0)), ("busy", Value::Number(1.0))]);
    let Value::Histogram(waits) = &find("wait_seconds").series[0].value else { panic!() };
    assert_eq!(waits.buckets, [(0.5, 1.0), (1.0, 2.0), (f64::INFINITY, 3.0)]);
    assert_eq!((waits.sum, waits.count), (Some(10.25), 3.0));
    assert_eq!(find("family_total").series[0].labels, pairs(&[("a", "1")]));
}

/// Families with their help, unit, and series with value and labels, as a scrape sees them.
#[derive(Debug, Default, PartialEq)]
struct Seen(Vec<SeenFamily>);

type SeenFamily = (String, MetricKind, String, Option<String>, Vec<String>);

impl Visitor for Seen {
    fn family(&mut self, family: &visit::Family<'_>) {
        let (help, unit) = (family.help.to_owned(), family.unit.map(str::to_owned));
        self.0.push((family.name.to_owned(), family.kind, help, unit, Vec::new()));
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        // An empty value says as much as none.
        let labels = series.labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<_> = labels.collect();
        let value = match series.value {
            visit::Value::Histogram(seen) => {
                let mut below = 0;
                let bounds = seen.bounds().iter().copied().chain([f64::INFINITY]);
                let buckets = bounds.zip(seen.counts()).map(|(bound, count)| {
                    below += count;
                    (bound, below as f64)
                });
                format!("{:?} {:?}", buckets.collect::<Vec<_>>(), seen.sum())
            }
            visit::Value::Buckets(seen) => format!("{:?} {:?}", seen.buckets, seen.sum.unwrap()),
            visit::Value::Counter(number)
            | visit::Value::Gauge(number)
            | visit::Value::Unknown(number) => format!("{:?}", self::number(number)),
            other => format!("{other:?}"),
        };
        if let Some(family) = self.0.last_mut() {
            family.4.push(format!("{labels:?} {value}"));
        }
    }
}

fn number(number: visit::Number) -> f64 {
    match number {
        visit::Number::Unsigned(number) => number as f64,
        visit::Number::Signed(number) => number as f64,
        visit::Number::Float(number) => number,
    }
}

#[test]
fn a_registry_of_ours_comes_back_from_theirs_as_it_was() {
    let ours = Registry::builder().worker_id(7).build();
    let scope = ours.namespace("n").component("c");
    let hits = scope.counter("hits_total", "A \"count\".").dynamic_family(["path"]).unwrap();
    for path in [NASTY, "/", ""] {
        hits.with([path]).inc_by(5);
    }
    scope.gauge("level", "").register().unwrap().set(-3);
    scope.info("build_info", "Build").label("version", "1").register().unwrap();
    scope.counter("sent_bytes_total", "").unit(OurUnit::Bytes).register().unwrap().inc_by(1 << 40);
    let waits = scope
        .histogram("wait_seconds", "Waits.")
        .unit(OurUnit::Seconds)
        .buckets([0.001, 0.5, 1e6])
        .dynamic_family(["k"])
        .unwrap();
    for wait in [0.0005, 0.25, 0.5, 3.0, 1e9] {
        waits.with(["v"]).observe(wait);
    }
    scope.add_expfmt_callback(|| {
        let page = "# TYPE engine histogram\nengine_bucket{le=\"1\"} 2\nengine_bucket{le=\"+Inf\"} 5\n\
                    engine_sum 9\nengine_count 5\nplain 1\n";
        Ok::<_, fmt::Error>(page.into())
    });
    let mut seen = Seen::default();
    ours.gather(&mut seen);

    let mut theirs = Theirs::default();
    theirs.register_collector(Box::new(ours.clone()));
    read(&theirs);
    let back = Registry::new();
    back.add_prometheus_client(Arc::new(theirs));
    let mut again = Seen::default();
    back.gather(&mut again);
    assert_eq!(again, seen);
    assert_eq!(seen.0.len(), 7);
}

#[test]
fn what_they_cannot_tell_becomes_what_is_nearest() {
    let ours = Registry::new();
    ours.counter("calls", "Two\nli\\nes").register().unwrap().inc();
    ours.info("facts", "").label("a", "b").register().unwrap();
    ours.state_set::<Phase>("phase", "").register().unwrap();
    ours.add_collector(|collected| {
        let page = "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n\
                    # TYPE u untyped\nu 2\n";
        collected.page(page, Format::Text);
        Ok::<_, fmt::Error>(())
    });
    let mut theirs = Theirs::with_prefix_and_labels(
        "p",
        [(Cow::Borrowed("const"), Cow::Borrowed("1"))].into_iter(),
    );
    theirs.register_collector(Box::new(ours));
    let parsed = read(&theirs);
    let kinds: Vec<_> =
        parsed.families.iter().map(|f| (&*f.name, f.kind, f.series.len())).collect();
    assert_eq!(
        kinds,
        [
            ("p_calls", MetricKind::Unknown, 1),
            ("p_facts", MetricKind::Gauge, 1),
            ("p_phase", MetricKind::Gauge, 2),
            ("p_u", MetricKind::Unknown, 1)
        ]
    );
    assert_eq!(parsed.families[0].help, "Two\nli\\nes");
    assert_eq!(parsed.families[2].series[1].labels, pairs(&[("const", "1"), ("phase", "busy")]));
}

#[test]
fn native_buckets_are_spans_and_differences() {
    let ours = Registry::new();
    let native = NativeBuckets::new(0, 1.0, 1024.0).unwrap();
    let sizes = ours.histogram("sizes", "").buckets([1.0]).native(native).register().unwrap();
    for (sample, n) in [(0.5, 1), (2.0, 3), (4.0, 5), (32.0, 2), (64.0, 2)] {
        sizes.observe_n(sample, n);
    }
    let seen = sizes.snapshot();
    let (spans, deltas) = super::ours::positive(seen.native().unwrap());
    assert_eq!((&*spans, &*deltas), (&[(1, 2), (2, 2)][..], &[3, 2, -3, 0][..]));
}

#[test]
fn registries_in_each_other_come_to_an_end() {
    let ours = Registry::new();
    ours.gauge("ours", "").register().unwrap();
    let mut theirs = Theirs::default();
    theirs.register_collector(Box::new(ours.clone()));
    theirs.register("theirs", "", Gauge::<i64>::default());
    let theirs = Arc::new(theirs);
    ours.add_prometheus_client(Arc::clone(&theirs));
    for page in [encode::text(&ours), page(&theirs)] {
        assert_lines(&page, &["ours 0", "theirs 0"]);
    }
}

#[test]
fn recording_goes_on_while_both_are_read() {
    let ours = Registry::new();
    let (mut theirs, mut others) = (Theirs::default(), Theirs::default());
    let their_count: Counter = Counter::default();
    let our_waits = Registry::new().histogram("waits", "").buckets([1.0]).register().unwrap();
    theirs.register("count", "", their_count.clone());
    others.register("waits", "", our_waits.clone());
    ours.add_prometheus_client(theirs);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for i in 0..5_000_u32 {
                    their_count.inc();
                    our_waits.observe(f64::from(i % 2) * 2.0);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..50 {
                read(&others);
                let page = encode::openmetrics(&ours);
                let parsed = parse(page.as_bytes(), Format::OpenMetrics, &Limits::default());
                assert_eq!(parsed.totals, [], "{page}");
            }
        });
    });
    assert!(encode::text(&ours).contains("\ncount_total 10000\n"));
    let parsed = read(&others);
    let Value::Histogram(waits) = &parsed.families[0].series[0].value else { panic!() };
    assert_eq!(waits.buckets, [(1.0, 5_000.0), (f64::INFINITY, 10_000.0)]);
}
