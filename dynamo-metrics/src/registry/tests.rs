//! Stories that cross the files of the registry.

use crate::encode;
use crate::label::LabelValue;
use crate::metric::Counter;
use crate::name::{LabelNameError, NameError};
use crate::registry::{RegisterError, Registry, Scope};
use crate::unit::Unit;

#[test]
fn the_same_registration_gives_the_same_metric() {
    let registry = Registry::new();
    let register = || {
        let scope = registry.namespace("n").component("c");
        scope.counter("x_total", "X.").label("k", "v").register().unwrap()
    };
    register().inc();
    register().inc();
    assert_eq!(register().get(), 2);
}

#[test]
fn components_share_a_family_and_keep_their_labels() {
    let registry = Registry::builder().worker_id(0xAB).build();
    for (component, n) in [("b", 1), ("a", 2)] {
        let scope = registry.namespace("n").component(component);
        scope.counter("x_total", "X.").register().unwrap().inc_by(n);
    }
    assert_eq!(
        encode::text(&registry),
        "# HELP dynamo_component_x_total X.\n\
         # TYPE dynamo_component_x_total counter\n\
         dynamo_component_x_total{dynamo_component=\"b\",dynamo_namespace=\"n\",worker_id=\"ab\"} 1\n\
         dynamo_component_x_total{dynamo_component=\"a\",dynamo_namespace=\"n\",worker_id=\"ab\"} 2\n"
    );
}

#[test]
fn what_cannot_be_registered_says_why() {
    let registry = Registry::new();
    let error = |name: &str, label: &str| {
        registry.counter(name, "X.").label(label, "v").register().unwrap_err()
    };
    assert_eq!(error("", "k"), RegisterError::Name(NameError::Empty));
    assert_eq!(error("_total", "k"), RegisterError::Name(NameError::Empty));
    assert_eq!(error("x", "le"), LabelNameError::Reserved("le".into()).into());
    assert_eq!(error("x", "worker_id"), LabelNameError::Reserved("worker_id".into()).into());
    let twice = registry.counter("x", "").label("k", "v").dynamic_family(["k"]).unwrap_err();
    assert_eq!(twice, LabelNameError::Repeated("k".into()).into());
    let unit = registry.counter("x_total", "X.").unit(Unit::Bytes).register().unwrap_err();
    assert_eq!(unit, RegisterError::UnitSuffix { name: "x_total".into(), unit: Unit::Bytes });
    let bounds = registry.histogram("h", "").buckets([1.0, 1.0]).register().unwrap_err();
    assert!(matches!(bounds, RegisterError::Buckets(_)), "{bounds}");
    registry.histogram("h", "").buckets([1.0]).register().unwrap();
    let others = registry.histogram("h", "").buckets([2.0]).register().unwrap_err();
    assert_eq!(others, RegisterError::OtherBuckets { name: "h".into() });
    assert_eq!(encode::text(&registry).matches("# TYPE").count(), 1);
}

#[test]
fn the_name_of_a_state_set_is_a_label_that_nothing_else_has() {
    #[derive(LabelValue)]
    enum Phase {
        Up,
        Down,
    }
    let registry = Registry::builder().worker_id(1).build();
    let sets = |scope: &Scope, name: &str| scope.state_set::<Phase>(name, "");
    for name in ["vllm:phase", "__phase", "le", "worker_id", "dynamo_component"] {
        let error = sets(&registry, name).register().unwrap_err();
        assert!(matches!(error, RegisterError::Label(_)), "{name}: {error}");
        let error = sets(&registry, "phase").alias(name).register().unwrap_err();
        assert!(matches!(error, RegisterError::Label(_)), "{name}: {error}");
    }
    let prefixed = sets(&registry.with_prefix("vllm:"), "phase").register().unwrap_err();
    assert_eq!(prefixed, LabelNameError::Grammar("vllm:_phase".into()).into());
    let twice = RegisterError::from(LabelNameError::Repeated("phase".into()));
    let given = |name: &str| sets(&registry, name).label("phase", "mine");
    assert_eq!(given("phase").register().unwrap_err(), twice);
    assert_eq!(given("state").alias("phase").register().unwrap_err(), twice);
    assert_eq!(sets(&registry, "phase").dynamic_family(["phase"]).unwrap_err(), twice);
    // What is no label of the line may be named so.
    registry.gauge("vllm:phase", "").label("phase", "mine").register().unwrap();
    let phase = sets(&registry, "phase").label("kind", "a").register().unwrap();
    phase.set(&Phase::Down);
    assert!(!phase.is(&Phase::Up));
    assert_eq!(
        encode::text(&registry),
        "# TYPE phase gauge\nphase{kind=\"a\",phase=\"up\",worker_id=\"1\"} 0\n\
         phase{kind=\"a\",phase=\"down\",worker_id=\"1\"} 1\n\
         # TYPE vllm:phase gauge\nvllm:phase{phase=\"mine\",worker_id=\"1\"} 0\n"
    );
}

#[test]
fn a_differing_help_text_is_kept_out_and_counted() {
    let registry = Registry::new();
    registry.counter("x_total", "First.").register().unwrap();
    registry.counter("x_total", "Second.").register().unwrap();
    let text = encode::text(&registry);
    assert!(text.contains("# HELP x_total First.\n"));
    assert!(!text.contains("Second."));
    assert!(text.contains("dynamo_metrics_help_conflicts_total{family=\"x_total\"} 1\n"));
}

#[test]
fn overflow_and_invalid_samples_are_exposed_once_there_are_any() {
    let registry = Registry::builder().series_cap(1).build();
    let family = registry.counter("x_total", "").dynamic_family(["k"]).unwrap();
    let histogram = registry.histogram("h", "").register().unwrap();
    assert!(!encode::text(&registry).contains("dynamo_metrics_"));
    for k in ["a", "b", "c"] {
        family.with([k]).inc();
    }
    histogram.observe(f64::NAN);
    let text = encode::text(&registry);
    assert!(text.contains("x_total{k=\"a\"} 1\n"));
    assert!(text.contains("x_total{k=\"_overflow\"} 2\n"));
    assert!(text.contains("dynamo_metrics_series_overflow_total{family=\"x_total\"} 2\n"));
    assert!(text.contains("dynamo_metrics_invalid_samples_total{family=\"h\"} 1\n"));
}

#[test]
fn an_alias_shows_one_value_under_two_names() {
    let registry = Registry::new();
    let gauge = registry.gauge("inflight", "").alias("concurrent").register().unwrap();
    gauge.set(7);
    let text = encode::text(&registry);
    assert!(text.contains("\ninflight 7\n") && text.contains("\nconcurrent 7\n"), "{text}");
}

#[test]
fn update_callbacks_run_before_a_gather_and_may_panic() {
    let registry = Registry::new();
    let gauge = registry.gauge("fresh", "").register().unwrap();
    registry.add_update_callback(|| panic!("a callback's own fault"));
    registry.add_update_callback(move || gauge.add(1));
    assert!(encode::text(&registry).contains("\nfresh 1\n"));
    let text = encode::text(&registry);
    assert!(text.contains("\nfresh 2\n"));
    assert!(text.contains(
        "dynamo_metrics_collect_errors_total{reason=\"panic\",source=\"update_callback\"} 2\n"
    ));
}

#[test]
fn registries_know_nothing_of_each_other_and_free_what_they_hold() {
    let (first, second) = (Registry::new(), Registry::new());
    let counter: Counter = first.namespace("n").counter("x_total", "").register().unwrap();
    counter.inc();
    assert_eq!(encode::text(&second), "");
    let tree = std::sync::Arc::downgrade(&first.tree);
    drop(first);
    assert!(tree.upgrade().is_none());
    counter.inc();
    assert_eq!(counter.get(), 2);
}

#[test]
fn scraping_while_series_are_made_shows_each_once() {
    let registry = Registry::new();
    let family = registry.counter("x_total", "").dynamic_family(["k"]).unwrap();
    std::thread::scope(|scope| {
        let maker = scope.spawn(|| {
            for i in 0..1_000 {
                family.with([&i.to_string()]).inc();
            }
        });
        while !maker.is_finished() {
            let text = encode::text(&registry);
            let mut lines: Vec<_> = text.lines().collect();
            let all = lines.len();
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len(), all);
        }
    });
    assert_eq!(encode::text(&registry).lines().count(), 1_001);
}

#[test]
fn an_alias_that_cannot_be_kept_is_an_error() {
    let registry = Registry::new();
    let gauge = |name: &str| registry.gauge(name, "");
    gauge("inflight").register().unwrap();
    let late = gauge("inflight").alias("concurrent").register().unwrap_err();
    assert_eq!(late, RegisterError::OtherAliases { name: "inflight".into() });
    gauge("taken").register().unwrap();
    let taken = gauge("other").alias("taken").register().unwrap_err();
    assert_eq!(taken, RegisterError::OtherAliases { name: "taken".into() });
    gauge("fine").alias("also_fine").register().unwrap();
    gauge("fine").alias("also_fine").register().unwrap();
}

#[test]
fn a_prefix_of_any_text_makes_a_page_that_can_be_read() {
    let registry = Registry::new();
    registry.with_prefix("a b\nc").counter("x_total", "").register().unwrap();
    assert_eq!(encode::text(&registry), "# TYPE a_b_c_x_total counter\na_b_c_x_total 0\n");
}

#[test]
fn closed_label_sets_take_no_place_under_the_cap() {
    use crate::label::LabelSet;

    #[derive(LabelSet)]
    struct Flag {
        set: bool,
    }

    let registry = Registry::builder().series_cap(1).build();
    for i in 0..4 {
        let scope = registry.endpoint(&format!("e{i}"));
        let family = scope.counter("x_total", "").family::<Flag>().unwrap();
        family.with(&Flag { set: true }).inc();
        family.with(&Flag { set: false }).inc();
    }
    assert_eq!(encode::text(&registry).matches("_overflow").count(), 0);
}

#[test]
fn an_open_set_beside_a_closed_one_of_its_name_is_capped() {
    use crate::label::LabelSet;

    #[derive(LabelSet)]
    struct Flag {
        set: bool,
    }

    let registry = Registry::builder().series_cap(2).build();
    let closed = registry.counter("x_total", "").family::<Flag>().unwrap();
    let open = registry.counter("x_total", "").dynamic_family(["set"]).unwrap();
    closed.with_ref(&Flag { set: true }, Counter::inc);
    for value in ["true", "a", "b", "c", "b"] {
        open.with_ref([value], Counter::inc);
    }
    let text = encode::text(&registry);
    assert!(text.contains("x_total{set=\"true\"} 2\n"), "{text}");
    // That one is the closed set's, and takes no place under the cap.
    assert!(text.contains("x_total{set=\"b\"} 2\n"), "{text}");
    assert!(text.contains("x_total{set=\"_overflow\"} 1\n"), "{text}");
    assert!(text.contains("series_overflow_total{family=\"x_total\"} 1\n"), "{text}");
}

#[test]
fn exemplars_stand_at_the_end_of_their_line_where_the_format_has_them() {
    use crate::metric::ExemplarLabels;

    let registry = Registry::new();
    let calls = registry.counter("calls_total", "").exemplars().register().unwrap();
    let waits = registry.histogram("waits", "").buckets([1.0]).exemplars().register().unwrap();
    let labels = ExemplarLabels::new([("trace_id", "4b\"f"), ("span_id", "1")]).unwrap();
    calls.inc_by_with_exemplar(3, &labels);
    waits.observe_with_exemplar(2.5, &labels);
    let text = encode::openmetrics(&registry);
    let of = |line: &str| text.lines().find_map(|it| it.strip_prefix(line)).map(str::to_owned);
    let exemplar = r#" # {trace_id="4b\"f",span_id="1"} "#;
    let (call, wait) = (of("calls_total 3").unwrap(), of(r#"waits_bucket{le="+Inf"} 1"#).unwrap());
    assert!(call.starts_with(&format!("{exemplar}3 1")), "{call}");
    assert!(wait.starts_with(&format!("{exemplar}2.5 1")), "{wait}");
    assert_eq!(of(r#"waits_bucket{le="1.0"} 0"#).as_deref(), Some(""));
    assert!(!encode::text(&registry).contains(" # {"));
    // Without `_total` it is no counter there, and must not have one.
    let odd = registry.counter("odd", "").exemplars().register().unwrap();
    odd.inc_by_with_exemplar(1, &labels);
    assert!(encode::openmetrics(&registry).contains("\nodd 1\n"));
}

mod enums {
    use crate::label::{LabelSet, LabelValue};

    #[derive(LabelValue)]
    pub(super) enum Letter {
        X,
        Y,
    }

    #[derive(LabelValue)]
    pub(super) enum Backwards {
        Y,
    }

    #[derive(LabelSet)]
    pub(super) struct ByLetter {
        pub(super) kind: Letter,
    }

    #[derive(LabelSet)]
    pub(super) struct ByBackwards {
        pub(super) kind: Backwards,
    }
}

#[test]
fn types_that_number_the_same_values_otherwise_do_not_mix_them_up() {
    use enums::{Backwards, ByBackwards, ByLetter, Letter};

    let registry = Registry::new();
    let first = registry.counter("x_total", "").family::<ByLetter>().unwrap();
    let other = registry.counter("x_total", "").family::<ByBackwards>().unwrap();
    first.with(&ByLetter { kind: Letter::X }).inc_by(5);
    first.with(&ByLetter { kind: Letter::Y }).inc_by(2);
    other.with(&ByBackwards { kind: Backwards::Y }).inc();
    let text = encode::text(&registry);
    assert!(text.contains("x_total{kind=\"x\"} 5\nx_total{kind=\"y\"} 3\n"), "{text}");
}

#[test]
fn what_was_made_again_goes_with_its_scope_too() {
    use enums::{ByLetter, Letter};

    let registry = Registry::new();
    let (one, two) = (registry.component("one"), registry.component("two"));
    two.counter("x_total", "")
        .family::<ByLetter>()
        .unwrap()
        .with(&ByLetter { kind: Letter::X })
        .inc();
    let family = one.counter("x_total", "").family::<ByLetter>().unwrap();
    for _ in 0..2 {
        family.with(&ByLetter { kind: Letter::X }).inc();
        assert!(family.remove(&ByLetter { kind: Letter::X }));
    }
    family.with(&ByLetter { kind: Letter::X }).inc();
    one.remove();
    let text = encode::text(&registry);
    assert!(text.contains("\"two\"") && !text.contains("\"one\""), "{text}");
}

#[test]
fn a_callback_may_gather() {
    let registry = Registry::new();
    let size = registry.gauge("page_size", "").register().unwrap();
    let own = registry.clone();
    registry.add_update_callback(move || size.set(encode::text(&own).len().cast_signed() as i64));
    assert!(encode::text(&registry).contains("\npage_size 35\n"));
    registry.remove();
}

#[test]
fn what_went_wrong_with_a_family_that_comes_back_is_told() {
    let registry = Registry::new();
    for bad in [1, 3] {
        let scope = registry.component("c").with_prefix("");
        let sizes = scope.histogram("sizes", "").register().unwrap();
        sizes.observe_n(-1.0, bad);
        let text = encode::text(&registry);
        let line = format!("invalid_samples_total{{family=\"sizes\"}} {bad}\n");
        assert!(text.contains(&line), "{text}");
        scope.remove();
    }
}

#[test]
fn threads_that_register_one_alias_at_once_agree() {
    for _ in 0..300 {
        let registry = Registry::new();
        let register = || registry.gauge("inflight", "").alias("concurrent").register().map(drop);
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..2).map(|_| scope.spawn(register)).collect();
            assert!(others.into_iter().all(|other| other.join().is_ok_and(|it| it.is_ok())));
        });
    }
}

#[test]
fn a_value_that_is_called_overflow_takes_no_place() {
    let registry = Registry::builder().series_cap(1).build();
    let family = registry.counter("x_total", "").dynamic_family(["k"]).unwrap();
    for _ in 0..3 {
        family.with_ref(["_overflow"], Counter::inc);
        family.with_ref(["a"], Counter::inc);
        family.with_ref(["b"], Counter::inc);
        assert!(family.remove(["_overflow"]) && family.remove(["a"]));
    }
    family.with_ref(["c"], Counter::inc);
    assert!(encode::text(&registry).contains("x_total{k=\"c\"} 1\n"));
}
