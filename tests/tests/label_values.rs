//! Label values that come when the program runs: bounded, wherever they are used.

use std::sync::Arc;

use allocation_counter::measure;
use dynamo_metrics::label::{Bounded, LabelSet, LabelValue, LabelValues, Vocabulary};
use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::{Family, Registry, Scope};
use dynamo_metrics::{encode, instrumented_endpoint};
use dynamo_metrics_tests::page::Page;

#[derive(Debug, Clone, Copy, LabelValue)]
enum Tier {
    Free,
    Paid,
}

#[derive(LabelSet)]
struct Load {
    model: Bounded<3>,
    tier: Tier,
}

const TIERS: [Tier; 2] = [Tier::Free, Tier::Paid];

fn family(registry: &Registry) -> Family<Load, Counter> {
    registry.counter("loads_total", "Loads.").family().unwrap()
}

fn load(family: &Family<Load, Counter>, models: &Vocabulary<3>, model: &str, tier: Tier) {
    family.with_ref(&Load { model: models.get(model).clone(), tier }, Counter::inc);
}

fn loads(registry: &Registry, model: &str) -> Option<f64> {
    Page::read(&encode::text(registry)).sum("loads_total", &[("model", model)])
}

#[test]
fn a_set_says_how_many_values_its_labels_have() {
    let values = Load::INFO.iter().map(|label| (label.name, label.values));
    assert_eq!(
        values.collect::<Vec<_>>(),
        [("model", LabelValues::Bounded(4)), ("tier", LabelValues::Closed(&["free", "paid"])),]
    );
    assert_eq!((Load::COUNT, Load::EXACT), (Some(8), false));
}

#[test]
fn ten_thousand_values_are_as_many_series_as_the_type_says() {
    let (registry, models) = (Registry::new(), Vocabulary::new());
    let family = family(&registry);
    for i in 0..10_000 {
        load(&family, &models, &format!("model-{i}"), TIERS[i % 2]);
    }
    let text = encode::text(&registry);
    // Three that came first, each in one tier, and all others in both.
    assert_eq!(Page::read(&text).samples().len(), 5, "{text}");
    assert_eq!(loads(&registry, "_other"), Some(9_997.0));
    assert_eq!(models.overflowed(), 9_997);
}

#[test]
fn values_of_two_vocabularies_are_not_mixed_up_in_one_family() {
    let registry = Registry::new();
    let family = family(&registry);
    let (ours, theirs) = (Vocabulary::of(["a", "b", "c"]), Vocabulary::of(["c", "x", "a"]));
    for _ in 0..3 {
        for model in ["a", "b", "c"] {
            load(&family, &ours, model, Tier::Free);
        }
        for model in ["c", "x", "a"] {
            load(&family, &theirs, model, Tier::Free);
        }
    }
    let counts = ["a", "b", "c", "x"].map(|model| loads(&registry, model));
    assert_eq!(counts, [6.0, 3.0, 6.0, 3.0].map(Some));
    assert_eq!(Page::read(&encode::text(&registry)).samples().len(), 4);
}

#[test]
fn a_family_that_is_registered_again_finds_what_is_there() {
    let (registry, models) = (Registry::new(), Vocabulary::of(["a", "b", "c"]));
    let (one, other) = (family(&registry), family(&registry));
    for _ in 0..2 {
        load(&one, &models, "a", Tier::Paid);
        load(&other, &models, "a", Tier::Paid);
    }
    assert_eq!(loads(&registry, "a"), Some(4.0));
    let a = || Load { model: models.get("a").clone(), tier: Tier::Paid };
    assert!(one.remove(&a()) && !other.remove(&a()));
    load(&one, &models, "a", Tier::Paid);
    load(&other, &models, "a", Tier::Paid);
    assert_eq!(loads(&registry, "a"), Some(2.0));
}

#[test]
fn values_that_must_be_escaped_are_found_again() {
    let (registry, models) = (Registry::new(), Vocabulary::new());
    let family = family(&registry);
    for _ in 0..3 {
        for model in ["a\"b", "a\\b\n", "nul\0"] {
            load(&family, &models, model, Tier::Free);
        }
    }
    let counts = ["a\"b", "a\\b\n", "nul\u{FFFD}"].map(|model| loads(&registry, model));
    assert_eq!(counts, [Some(3.0); 3]);
}

#[test]
fn looking_up_a_value_that_is_there_allocates_nothing() {
    let (registry, models) = (Registry::new(), Vocabulary::of(["a", "b", "c"]));
    let family = family(&registry);
    let record = || {
        for model in ["a", "b", "c", "made-up", "made-up-too"] {
            load(&family, &models, model, Tier::Paid);
        }
    };
    record();
    assert_eq!(measure(|| (0..100).for_each(|_| record())).count_total, 0);
}

#[test]
fn overflow_is_counted_once_wherever_it_is_shown() {
    let registry = Registry::new();
    let models = Arc::new(Vocabulary::of(["llama"]));
    let name = "dynamo_metrics_label_overflow_total";
    let overflow = || Page::read(&encode::text(&registry)).sum(name, &[("label", "model")]);
    // Twice in one place, and once in another.
    for scope in [&*registry, &*registry, &registry.component("backend")] {
        scope.count_overflow("model", Arc::clone(&models)).unwrap();
    }
    assert_eq!(overflow(), Some(0.0));
    for _ in 0..5 {
        assert!(models.get("made-up").is_other());
    }
    assert_eq!((overflow(), overflow()), (Some(5.0), Some(5.0)));
    models.get("another");
    assert_eq!(overflow(), Some(6.0));
}

struct Engine {
    scope: Scope,
    models: Vocabulary<2>,
}

impl Engine {
    #[instrumented_endpoint(
        name = "generate",
        scope = &self.scope,
        labels(model = self.models.get(model), method = method, status = status)
    )]
    async fn generate(&self, model: &str, method: http::Method, status: http::StatusCode) {
        let _ = (method, status);
    }
}

#[tokio::test]
async fn the_attribute_takes_bounded_values_methods_and_statuses() {
    let registry = Registry::new();
    let engine = Engine { scope: registry.component("backend"), models: Vocabulary::new() };
    for (model, method, status) in [
        ("llama", "GET", 200),
        ("qwen", "PURGE", 404),
        ("made-up", "POST", 777),
        ("llama", "GET", 200),
    ] {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        engine.generate(model, method, http::StatusCode::from_u16(status).unwrap()).await;
    }
    let page = Page::read(&encode::text(&registry));
    for (labels, count) in [
        ([("model", "llama"), ("method", "GET"), ("status", "200")], 2.0),
        ([("model", "qwen"), ("method", "_OTHER"), ("status", "404")], 1.0),
        ([("model", "_other"), ("method", "POST"), ("status", "_OTHER")], 1.0),
    ] {
        assert_eq!(page.sum("dynamo_component_requests_total", &labels), Some(count), "{labels:?}");
    }
}
