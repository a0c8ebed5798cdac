//! Exemplars and created timestamps: what a visitor finds beside the values.

use std::collections::BTreeMap;
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::metric::visit::{self, Visitor};
use dynamo_metrics::metric::{
    Counter, Exemplar, ExemplarError, ExemplarLabels, Histogram, TraceContext,
};
use dynamo_metrics::name::LabelNameError;
use dynamo_metrics::registry::Registry;

const TRACE: TraceContext = TraceContext::new(0x4bf9_2f35, 0x00f0_67aa, true);

fn with_exemplars() -> (Registry, Counter, Histogram) {
    let registry = Registry::new();
    let calls = registry.counter("calls_total", "").exemplars().register().unwrap();
    let sizes = registry.histogram("sizes", "").buckets([1.0, 2.0]).exemplars();
    let sizes = sizes.register().unwrap();
    (registry, calls, sizes)
}

fn own(key: &str) -> ExemplarLabels {
    ExemplarLabels::new([("key", key)]).unwrap()
}

fn labels(exemplar: &Exemplar) -> Vec<(String, String)> {
    exemplar.labels().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// What a visitor sees of each series: when it was made, and the values of its exemplars.
#[derive(Default)]
struct Seen {
    family: String,
    created: BTreeMap<String, u64>,
    exemplars: BTreeMap<String, Vec<Option<f64>>>,
    can_have: BTreeMap<String, bool>,
}

impl Seen {
    fn of(registry: &Registry) -> Self {
        let mut seen = Self::default();
        registry.gather(&mut seen);
        seen
    }
}

impl Visitor for Seen {
    fn family(&mut self, family: &visit::Family<'_>) {
        family.name.clone_into(&mut self.family);
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let key = series.labels.get("key").unwrap_or_default();
        let id = format!("{}/{key}", self.family);
        self.created.insert(id.clone(), series.created.unwrap());
        self.can_have.insert(id.clone(), !series.exemplars.is_empty());
        let bucket = |bucket| series.exemplars.bucket(bucket).map(|exemplar| exemplar.value());
        assert_eq!(bucket(0), series.exemplars.counter().map(|exemplar| exemplar.value()));
        self.exemplars.insert(id, (0..4).map(bucket).collect());
    }
}

#[test]
fn only_sampled_traces_leave_exemplars() {
    let (_registry, calls, sizes) = with_exemplars();
    let record = || {
        calls.inc();
        sizes.observe(0.5);
    };
    record();
    {
        let _entered = TraceContext::new(1, 2, false).enter();
        record();
    }
    assert_eq!((calls.exemplar(), sizes.exemplar(0)), (None, None));
    {
        let _entered = TRACE.enter();
        calls.inc_by(4);
        record();
        sizes.observe(7.0);
    }
    record();
    let trace = [("trace_id", "0000000000000000000000004bf92f35"), ("span_id", "0000000000f067aa")];
    let trace = trace.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (exemplar, value) in
        [(calls.exemplar(), 4.0), (sizes.exemplar(0), 0.5), (sizes.exemplar(2), 7.0)]
    {
        let exemplar = exemplar.unwrap();
        assert_eq!((exemplar.value(), labels(&exemplar)), (value, trace.to_vec()));
    }
    assert_eq!((sizes.exemplar(1), sizes.exemplar(3)), (None, None));
    assert_eq!((calls.get(), sizes.snapshot().counts()), (8, &[4, 0, 1][..]));
}

#[test]
fn traces_nest_and_belong_to_their_thread() {
    let inner = TraceContext::new(7, 8, false);
    let outer_guard = TRACE.enter();
    {
        let _inner = inner.enter();
        assert_eq!(TraceContext::current(), Some(inner));
        std::thread::scope(|threads| {
            threads.spawn(|| assert_eq!(TraceContext::current(), None));
        });
    }
    assert_eq!(TraceContext::current(), Some(TRACE));
    drop(outer_guard);
    assert_eq!(TraceContext::current(), None);
}

#[test]
fn labels_of_its_own_need_no_trace() {
    let (_registry, calls, sizes) = with_exemplars();
    calls.inc_by_with_exemplar(3, &own("a"));
    sizes.observe_with_exemplar(1.5, &own("b"));
    sizes.observe_with_exemplar(f64::NAN, &own("c"));
    sizes.observe_with_exemplar(-1.0, &own("c"));
    let (call, size) = (calls.exemplar().unwrap(), sizes.exemplar(1).unwrap());
    assert_eq!((call.value(), labels(&call)), (3.0, vec![("key".into(), "a".into())]));
    assert_eq!((size.value(), labels(&size)), (1.5, vec![("key".into(), "b".into())]));
    assert_eq!((sizes.exemplar(0), sizes.exemplar(2)), (None, None));
    assert_eq!((calls.get(), sizes.snapshot().count()), (3, 1));
}

/// Records until an exemplar of another value is kept.
fn record_until_replaced(sizes: &Histogram) -> (Exemplar, Exemplar) {
    sizes.observe_with_exemplar(3.0, &own("first"));
    let first = sizes.exemplar(2).unwrap();
    loop {
        sizes.observe_with_exemplar(4.0, &own("later"));
        let kept = sizes.exemplar(2).unwrap();
        if kept != first {
            return (Exemplar::clone(&first), Exemplar::clone(&kept));
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_bucket_keeps_at_most_one_a_second() {
    let (_registry, _calls, sizes) = with_exemplars();
    let (first, later) = record_until_replaced(&sizes);
    assert!(
        later.timestamp().unwrap() - first.timestamp().unwrap() >= 1_000,
        "{first:?} {later:?}"
    );
    assert_eq!((first.value(), later.value()), (3.0, 4.0));
    sizes.observe_with_exemplar(1.5, &own("another bucket"));
    assert_eq!(sizes.exemplar(1).unwrap().value(), 1.5);
}

#[test]
fn the_clock_of_tests_moves_exemplars_and_created_timestamps() {
    let time = Manual::new();
    time.run(|| {
        let (registry, calls, _sizes) = with_exemplars();
        let keys = registry.gauge("keys", "").dynamic_family(["key"]).unwrap();
        keys.with(["a"]).set(1);
        calls.inc_by_with_exemplar(3, &own("a"));
        time.advance(Duration::from_millis(998));
        calls.inc_by_with_exemplar(4, &own("a"));
        assert_eq!(calls.exemplar().unwrap().value(), 3.0);
        time.advance(Duration::from_millis(4_002));
        calls.inc_by_with_exemplar(5, &own("a"));
        assert_eq!(calls.exemplar().unwrap().value(), 5.0);
        keys.with(["b"]).set(1);
        let seen = Seen::of(&registry);
        assert_eq!(seen.created["keys/b"] - seen.created["keys/a"], 5_000);
    });
}

#[test]
fn without_being_asked_for_none_is_kept() {
    let registry = Registry::new();
    let calls = registry.counter("calls_total", "").register().unwrap();
    let sizes = registry.histogram("sizes", "").register().unwrap();
    let _entered = TRACE.enter();
    calls.inc();
    calls.inc_by_with_exemplar(2, &own("a"));
    sizes.observe(1.0);
    sizes.observe_with_exemplar(1.0, &own("a"));
    assert_eq!((calls.exemplar(), calls.get()), (None, 3));
    assert!((0..20).all(|bucket| sizes.exemplar(bucket).is_none()));
    assert!(Seen::of(&registry).can_have.values().all(|can| !can));
}

#[test]
fn labels_of_exemplars_are_checked() {
    let refused = |name: &str, value: &str| ExemplarLabels::new([(name, value)]).unwrap_err();
    let wide = "é".repeat(127);
    assert!(ExemplarLabels::new([("k", &*wide)]).is_ok(), "characters count, not bytes");
    assert_eq!(refused("k", &format!("{wide}é")), ExemplarError::TooLong(129));
    let two = ExemplarLabels::new([("abc", &*"x".repeat(100)), ("de", &*"y".repeat(24))]);
    assert_eq!(two.unwrap_err(), ExemplarError::TooLong(129));
    for bad in ["", "1a", "a-b", "ü"] {
        let error = ExemplarError::Label(LabelNameError::Grammar(bad.to_owned()));
        assert_eq!(refused(bad, "x"), error);
    }
    let reserved = ExemplarError::Label(LabelNameError::Reserved("__a".to_owned()));
    assert_eq!(refused("__a", "x"), reserved);
    let twice = ExemplarLabels::new([("a", "x"), ("a", "y")]).unwrap_err();
    assert_eq!(twice, ExemplarError::Label(LabelNameError::Repeated("a".to_owned())));
    assert_eq!(ExemplarLabels::new([]).unwrap().iter().count(), 0);
}

#[test]
fn a_format_without_exemplars_is_the_same_with_them() {
    let (registry, calls, sizes) = with_exemplars();
    calls.inc();
    sizes.observe(1.5);
    let plain = encode::text(&registry);
    let (registry, calls, sizes) = with_exemplars();
    calls.inc_by_with_exemplar(1, &own("with \"quotes\"\n# and {more}"));
    sizes.observe_with_exemplar(1.5, &own("a"));
    assert_eq!(encode::text(&registry), plain);
    let openmetrics = encode::openmetrics(&registry);
    assert_eq!(openmetrics.matches(" # {").count(), 2, "{openmetrics}");
}

#[test]
fn a_visitor_sees_exemplars_and_when_series_were_made() {
    let (registry, calls, sizes) = with_exemplars();
    let keys = registry.gauge("keys", "").dynamic_family(["key"]).unwrap();
    keys.with(["a"]).set(1);
    keys.with(["b"]).set(1);
    calls.inc_by_with_exemplar(3, &own("a"));
    sizes.observe_with_exemplar(1.5, &own("a"));
    sizes.observe_with_exemplar(2.5, &own("a"));
    let seen = Seen::of(&registry);
    assert_eq!(seen.exemplars["calls_total/"], [Some(3.0), None, None, None]);
    assert_eq!(seen.exemplars["sizes/"], [None, Some(1.5), Some(2.5), None]);
    assert_eq!(seen.exemplars["keys/a"], [None; 4]);
    assert!(!seen.can_have["keys/a"]);
    assert!(seen.created["keys/a"] <= seen.created["keys/b"]);

    keys.remove(["a"]);
    keys.with(["a"]).set(1);
    let later = Seen::of(&registry);
    assert_eq!(later.created["keys/b"], seen.created["keys/b"]);
    assert!(later.created["keys/a"] >= seen.created["keys/b"]);
}

#[test]
fn times_are_those_of_this_century() {
    let (registry, calls, _sizes) = with_exemplars();
    calls.inc_by_with_exemplar(3, &own("a"));
    let made = Seen::of(&registry).created["calls_total/"];
    let (year_2020, year_2200) = (1_577_836_800_000, 7_258_118_400_000);
    assert!((year_2020..year_2200).contains(&made), "{made}");
    assert!(calls.exemplar().unwrap().timestamp() >= Some(made));
}

#[test]
fn a_series_that_comes_back_has_no_exemplar() {
    let registry = Registry::new();
    let calls = registry.counter("calls_total", "").exemplars().dynamic_family(["key"]).unwrap();
    calls.with(["a"]).inc_by_with_exemplar(3, &own("a"));
    calls.remove(["a"]);
    assert_eq!(calls.with(["a"]).exemplar(), None);
}
