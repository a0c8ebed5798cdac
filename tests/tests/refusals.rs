//! What cannot be registered, and the error that says so; what was refused leaves nothing behind.

use dynamo_metrics::encode;
use dynamo_metrics::label::LabelSet;
use dynamo_metrics::metric::{BucketsError, MetricKind, NativeBuckets};
use dynamo_metrics::name::{LabelNameError, NameError};
use dynamo_metrics::registry::{RegisterError, Registry};
use dynamo_metrics::unit::Unit;

#[derive(LabelSet)]
struct Plan {
    cached: bool,
}

fn conflict(name: &str, registered: MetricKind) -> RegisterError {
    RegisterError::Conflict { name: name.to_owned(), registered }
}

fn clash(name: &str, other: &str) -> RegisterError {
    RegisterError::Clash { name: name.to_owned(), other: other.to_owned() }
}

fn label(error: LabelNameError) -> RegisterError {
    RegisterError::Label(error)
}

#[test]
fn names_that_are_none_are_refused() {
    let registry = Registry::new();
    let worker = registry.component("worker");
    for scope in [&*registry, &worker] {
        assert_eq!(
            scope.counter("", "").register().unwrap_err(),
            RegisterError::Name(NameError::Empty)
        );
        for bad in ["+", "___", "é-"] {
            assert_eq!(
                scope.gauge(bad, "").family::<Plan>().unwrap_err(),
                RegisterError::Name(NameError::Unusable(bad.to_owned()))
            );
        }
    }
    let aliased = registry.gauge("a", "").alias("").register().unwrap_err();
    assert_eq!(aliased, RegisterError::Name(NameError::Empty));
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn names_are_bent_into_the_grammar() {
    let registry = Registry::new();
    registry.gauge("1 a-b", "").register().unwrap().set(1);
    assert!(encode::text(&registry).ends_with("\n_1_a_b 1\n"));
    registry.gauge("_1.a b", "").register().unwrap().set(2);
    assert!(encode::text(&registry).ends_with("\n_1_a_b 2\n"));
}

#[test]
fn label_names_that_are_none_are_refused() {
    let registry = Registry::new();
    let counter = || registry.component("worker").counter("a_total", "");
    for bad in ["", "1a", "a-b", "a.b", "é", "a b"] {
        let error = label(LabelNameError::Grammar(bad.to_owned()));
        assert_eq!(counter().label(bad, "x").register().unwrap_err(), error);
        assert_eq!(counter().dynamic_family(["ok", bad]).unwrap_err(), error);
    }
    let reserved = [
        "le",
        "quantile",
        "__a",
        "__",
        "dynamo_namespace",
        "dynamo_component",
        "dynamo_endpoint",
        "worker_id",
    ];
    for bad in reserved {
        let error = label(LabelNameError::Reserved(bad.to_owned()));
        assert_eq!(counter().label(bad, "x").register().unwrap_err(), error);
        assert_eq!(counter().dynamic_family([bad]).unwrap_err(), error);
    }
    let repeated = |name: &str| label(LabelNameError::Repeated(name.to_owned()));
    assert_eq!(counter().label("k", "x").label("k", "y").register().unwrap_err(), repeated("k"));
    assert_eq!(counter().dynamic_family(["k", "j", "k"]).unwrap_err(), repeated("k"));
    assert_eq!(counter().label("k", "x").dynamic_family(["k"]).unwrap_err(), repeated("k"));
    let typed = counter().label("cached", "x").family::<Plan>().unwrap_err();
    assert_eq!(typed, repeated("cached"));
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn bounds_that_are_none_are_refused() {
    let registry = Registry::new();
    let error = |bounds: &[f64]| {
        let histogram = registry.histogram("h", "").buckets(bounds.iter().copied());
        histogram.register().unwrap_err()
    };
    assert_eq!(error(&[]), RegisterError::Buckets(BucketsError::Empty));
    assert_eq!(error(&[-1.0]), RegisterError::Buckets(BucketsError::Negative(-1.0)));
    let order = BucketsError::Order { before: 1.0, after: 1.0 };
    assert_eq!(error(&[1.0, 1.0]), RegisterError::Buckets(order));
    let infinite = BucketsError::NotFinite(f64::INFINITY);
    assert_eq!(error(&[1.0, f64::INFINITY]), RegisterError::Buckets(infinite));
    let many = registry.histogram("h", "").buckets((0..257).map(f64::from));
    let error = many.dynamic_family(["k"]).unwrap_err();
    assert_eq!(error, RegisterError::Buckets(BucketsError::TooMany(257)));
    registry.gauge("h", "").register().unwrap();
}

#[test]
fn names_must_end_in_their_unit() {
    let registry = Registry::new();
    let refused = |name: &str, unit| RegisterError::UnitSuffix { name: name.to_owned(), unit };
    let error = registry.histogram("wait", "").unit(Unit::Seconds).register().unwrap_err();
    assert_eq!(error, refused("wait", Unit::Seconds));
    let error = registry.gauge("wait_seconds_now", "").unit(Unit::Seconds).register().unwrap_err();
    assert_eq!(error, refused("wait_seconds_now", Unit::Seconds));
    let error = registry.counter("tokens_bytes_total", "").unit(Unit::Tokens).register();
    assert_eq!(error.unwrap_err(), refused("tokens_bytes_total", Unit::Tokens));
    registry.counter("sent_bytes_total", "").unit(Unit::Bytes).register().unwrap();
    registry.float_gauge("load_ratio", "").unit(Unit::Ratio).register().unwrap();
    let worker = registry.component("worker");
    let error = worker.gauge("load", "").unit(Unit::Ratio).register().unwrap_err();
    assert_eq!(error, refused("dynamo_component_load", Unit::Ratio));
}

#[test]
fn one_name_is_one_kind_one_type_and_one_unit() {
    let registry = Registry::new();
    let other = registry.with_prefix("");
    let _ = registry.counter("a", "").register().unwrap();
    let _ = registry.gauge("b_seconds", "").dynamic_family(["k"]).unwrap();
    let _ = registry.histogram("c", "").family::<Plan>().unwrap();
    let counter = |name| conflict(name, MetricKind::Counter);
    assert_eq!(other.gauge("a", "").register().unwrap_err(), counter("a"));
    assert_eq!(other.float_counter("a", "").register().unwrap_err(), counter("a"));
    let gauge = conflict("b_seconds", MetricKind::Gauge);
    assert_eq!(other.float_gauge("b_seconds", "").register().unwrap_err(), gauge);
    assert_eq!(other.up_down_counter("b_seconds", "").register().unwrap_err(), gauge);
    let with_unit = other.gauge("b_seconds", "").unit(Unit::Seconds).dynamic_family(["k"]);
    assert_eq!(with_unit.unwrap_err(), gauge);
    let histogram = conflict("c", MetricKind::Histogram);
    let below = registry.namespace("n").with_prefix("");
    assert_eq!(below.gauge("c", "").register().unwrap_err(), histogram);
}

#[test]
fn samples_of_one_metric_are_never_those_of_another() {
    let registry = Registry::new();
    let _ = registry.histogram("x", "").register().unwrap();
    for suffix in ["x_count", "x_sum", "x_bucket"] {
        assert_eq!(registry.gauge(suffix, "").register().unwrap_err(), clash(suffix, "x"));
    }
    let _ = registry.counter("y_count", "").register().unwrap();
    assert_eq!(registry.histogram("y", "").register().unwrap_err(), clash("y", "y_count"));
    let _ = registry.counter("z_total", "").register().unwrap();
    assert_eq!(registry.gauge("z", "").register().unwrap_err(), clash("z", "z_total"));
    let _ = registry.gauge("w", "").register().unwrap();
    assert_eq!(registry.counter("w_total", "").register().unwrap_err(), clash("w_total", "w"));
    let aliased = registry.gauge("v", "").alias("x_sum").register().unwrap_err();
    assert_eq!(aliased, clash("x_sum", "x"));
}

#[test]
fn aliases_are_one_metrics_own() {
    let registry = Registry::new();
    let other = |name: &str| RegisterError::OtherAliases { name: name.to_owned() };
    let _ = registry.counter("a", "").register().unwrap();
    assert_eq!(registry.counter("a", "").alias("b").register().unwrap_err(), other("a"));
    let _ = registry.counter("c", "").alias("d").register().unwrap();
    let _ = registry.counter("c", "").alias("d").register().unwrap();
    assert_eq!(registry.counter("e", "").alias("d").register().unwrap_err(), other("d"));
    // By its second name it is the same metric.
    registry.counter("d", "").register().unwrap().inc();
    assert_eq!(registry.counter("c", "").alias("d").register().unwrap().get(), 1);
    let kinds = registry.gauge("f", "").alias("d").register().unwrap_err();
    assert_eq!(kinds, conflict("d", MetricKind::Counter));
}

#[test]
fn what_was_refused_for_its_alias_is_not_shown() {
    let registry = Registry::new();
    let _ = registry.counter("c", "").alias("d").register().unwrap();
    let before = encode::text(&registry);
    let _ = registry.counter("e", "").alias("d").register().unwrap_err();
    assert_eq!(encode::text(&registry), before);
}

#[test]
fn what_was_refused_for_its_alias_leaves_its_name_free() {
    let registry = Registry::new();
    let _ = registry.histogram("x", "").register().unwrap();
    let worker = registry.component("worker").with_prefix("");
    let _ = worker.gauge("v", "").alias("x_sum").register().unwrap_err();
    let _ = worker.gauge("w", "").alias("x_sum").dynamic_family(["k"]).unwrap_err();
    worker.remove();
    registry.counter("v", "").register().expect("no v was registered");
    registry.counter("w", "").register().expect("no w was registered");
}

#[test]
fn one_series_has_one_set_of_bounds() {
    let registry = Registry::new();
    let histogram = || registry.histogram("h", "").buckets([1.0, 2.0]);
    let other = RegisterError::OtherBuckets { name: "h".to_owned() };
    let first = histogram().register().unwrap();
    let wider = registry.histogram("h", "").buckets([1.0, 2.0, 3.0]).register();
    assert_eq!(wider.unwrap_err(), other);
    let native = histogram().native(NativeBuckets::default()).register();
    assert_eq!(native.unwrap_err(), other);
    first.observe(0.5);
    assert_eq!(histogram().register().unwrap().snapshot().count(), 1);
    registry.component("worker").with_prefix("").histogram("h", "").register().unwrap();
}

#[test]
fn what_is_registered_twice_is_the_same() {
    let registry = Registry::new();
    let scope = registry.namespace("n");
    scope.counter("a", "Help.").label("k", "x").register().unwrap().inc();
    let again = registry.namespace("n").counter("a", "Help.").label("k", "x").register();
    assert_eq!(again.unwrap().get(), 1);
    let family = scope.gauge("b", "").dynamic_family(["j", "k"]).unwrap();
    family.with(["1", "2"]).set(3);
    let again = scope.gauge("b", "").dynamic_family(["j", "k"]).unwrap();
    assert_eq!(again.with(["1", "2"]).get(), 3);
}
