//! Where runs are counted: scopes and labels.

use std::cell::{Cell, RefCell};

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::LabelValue;
use dynamo_metrics::registry::{Registry, Scope};

use super::{ended, page, run};

const TOTAL: &str = "dynamo_component_requests_total";

#[derive(Clone, Copy, LabelValue)]
enum Tier {
    Free,
    #[label(rename = "paid-up")]
    PaidUp,
}

struct Engine {
    scope: Scope,
}

impl Engine {
    #[instrumented_endpoint(name = "generate", scope = &self.scope)]
    async fn generate(&self) {}

    #[instrumented_endpoint(scope = self.scope)]
    async fn by_value(&self) {}

    #[instrumented_endpoint(scope = self.scope.component("made").with_prefix("dynamo_made"))]
    async fn made(&self) {}
}

/// The labels of every sample of `requests_total`, as `name=value`, with the sample.
fn totals(registry: &Registry) -> Vec<String> {
    let page = page(registry);
    let samples = page.samples().iter().filter(|sample| sample.name == TOTAL);
    let mut totals: Vec<String> = samples
        .map(|sample| {
            let labels: Vec<_> = sample.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{} {}", labels.join(","), sample.value)
        })
        .collect();
    totals.sort();
    totals
}

#[test]
fn an_endpoint_is_named_as_its_function() {
    #[instrumented_endpoint(scope = registry)]
    async fn r#match(registry: &Registry) {}

    #[instrumented_endpoint(name = "chat/completions", scope = registry)]
    async fn chat(registry: &Registry) {}

    let registry = Registry::new();
    run(r#match(&registry));
    run(chat(&registry));
    let named: Vec<_> = totals(&registry);
    assert_eq!(named.len(), 2);
    assert!(named.contains(&"dynamo_endpoint=match 1".to_owned()), "{named:?}");
}

#[test]
fn two_components_in_one_process_keep_their_own_labels() {
    let registry = Registry::new();
    let prod = registry.namespace("prod");
    let engine = |name| Engine { scope: prod.component(name) };
    let (prefill, decode) = (engine("prefill"), engine("decode"));
    run(prefill.generate());
    run(decode.generate());
    run(prefill.generate());
    assert_eq!(
        totals(&registry),
        [
            "dynamo_component=decode,dynamo_endpoint=generate,dynamo_namespace=prod 1",
            "dynamo_component=prefill,dynamo_endpoint=generate,dynamo_namespace=prod 2",
        ]
    );
}

#[test]
fn two_registries_in_one_process_stay_apart() {
    let registries = [Registry::new(), Registry::new()];
    let engines = registries.each_ref().map(|registry| Engine { scope: registry.component("a") });
    run(engines[0].generate());
    run(engines[1].generate());
    run(engines[1].generate());
    assert_eq!(ended(&registries[0], "generate"), "success=1");
    assert_eq!(ended(&registries[1], "generate"), "success=2");
}

#[test]
fn functions_of_one_name_in_one_scope_are_one_endpoint() {
    #[instrumented_endpoint(name = "generate", scope = scope)]
    async fn another(scope: &Scope) {}

    let registry = Registry::new();
    let engine = Engine { scope: registry.component("backend") };
    run(engine.generate());
    run(another(&engine.scope));
    assert_eq!(totals(&registry), ["dynamo_component=backend,dynamo_endpoint=generate 2"]);
}

#[test]
fn a_scope_is_taken_by_reference_or_by_value() {
    let registry = Registry::new();
    let engine = Engine { scope: registry.component("backend") };
    run(engine.by_value());
    run(engine.made());
    let page = page(&registry);
    assert_eq!(page.sum(TOTAL, &[("dynamo_endpoint", "by_value")]), Some(1.0));
    let labels = [("dynamo_component", "backend_made"), ("dynamo_endpoint", "made")];
    assert_eq!(page.sum("dynamo_made_requests_total", &labels), Some(1.0));
}

#[test]
fn the_scope_of_an_endpoint_is_taken_as_it_is() {
    #[instrumented_endpoint(name = "ignored", scope = scope)]
    async fn generate(scope: &Scope) {}

    let registry = Registry::new();
    run(generate(&registry.component("backend").endpoint("chat")));
    assert_eq!(totals(&registry), ["dynamo_component=backend,dynamo_endpoint=chat 1"]);
}

#[test]
fn without_a_scope_the_global_registry_counts() {
    #[instrumented_endpoint(name = "counted_globally")]
    async fn counted() {}

    run(counted());
    assert_eq!(ended(Registry::global(), "counted_globally"), "success=1");
}

#[test]
fn labels_are_exposed_as_their_values_say() {
    #[instrumented_endpoint(scope = registry, labels(
        tier = tier,
        cached = matches!(tier, Tier::Free),
        fallback = fallback,
        by_reference = &tier,
        compared = 1 + 1 > u8::from(fallback.is_some()),
        kind = "chat",
        type = "text",
    ))]
    async fn generate(registry: &Registry, tier: Tier, fallback: Option<Tier>) {}

    let registry = Registry::new();
    run(generate(&registry, Tier::Free, None));
    run(generate(&registry, Tier::PaidUp, Some(Tier::Free)));
    run(generate(&registry, Tier::PaidUp, Some(Tier::Free)));
    assert_eq!(
        totals(&registry),
        [
            "by_reference=free,cached=true,compared=true,dynamo_endpoint=generate,fallback=none,kind=chat,\
             tier=free,type=text 1",
            "by_reference=paid-up,cached=false,compared=true,dynamo_endpoint=generate,fallback=free,kind=chat,\
             tier=paid-up,type=text 2",
        ]
    );
}

#[test]
fn labels_are_on_every_metric_of_the_endpoint() {
    #[instrumented_endpoint(scope = registry, labels(tier = tier))]
    async fn generate(
        registry: &Registry,
        tier: Tier,
    ) -> futures_util::stream::BoxStream<'static, Result<u8, ()>> {
        assert!(matches!(tier, Tier::Free));
        Box::pin(futures_util::stream::iter([Ok(1), Ok(2), Err(())]))
    }

    let registry = Registry::new();
    let stream = run(generate(&registry, Tier::Free));
    run(futures_util::StreamExt::for_each(stream, async |_| {}));
    let page = page(&registry);
    let samples: Vec<_> = page
        .samples()
        .iter()
        .filter(|sample| sample.name.starts_with("dynamo_component_"))
        .collect();
    assert!(samples.len() > 20, "{samples:?}");
    for sample in samples {
        assert_eq!(sample.labels.get("tier").map(String::as_str), Some("free"), "{sample:?}");
    }
}

#[test]
fn labels_are_read_before_the_body_moves_what_they_are_of() {
    struct Request {
        tier: Tier,
        prompt: String,
    }

    #[instrumented_endpoint(scope = registry, labels(tier = request.tier))]
    async fn generate(registry: &Registry, request: Request) -> String {
        let Request { tier, prompt } = request;
        prompt + tier.as_label()
    }

    let registry = Registry::new();
    let request = Request { tier: Tier::Free, prompt: "hi".to_owned() };
    assert_eq!(run(generate(&registry, request)), "hifree");
    assert_eq!(totals(&registry), ["dynamo_endpoint=generate,tier=free 1"]);
}

#[test]
fn scope_and_labels_are_evaluated_once_for_each_run() {
    fn counted<'a, T>(counter: &Cell<u8>, value: &'a T) -> &'a T {
        counter.set(counter.get() + 1);
        value
    }

    #[instrumented_endpoint(
        scope = counted::<Registry>(scopes, registry),
        labels(cached = counted(labels, &true)),
    )]
    async fn generate(registry: &Registry, scopes: &Cell<u8>, labels: &Cell<u8>) -> u8 {
        assert!(!registry.is_endpoint());
        // Both are evaluated by now.
        scopes.get() * 10 + labels.get()
    }

    let (registry, scopes, labels) = (Registry::new(), Cell::new(0), Cell::new(0));
    assert_eq!(run(generate(&registry, &scopes, &labels)), 11);
    assert_eq!(run(generate(&registry, &scopes, &labels)), 22);
}

#[test]
fn a_lock_that_the_scope_needs_is_free_in_the_body() {
    #[instrumented_endpoint(scope = scope.borrow_mut().component("backend"))]
    async fn generate(scope: &RefCell<Registry>) -> bool {
        scope.try_borrow_mut().is_ok()
    }

    let registry = Registry::new();
    assert!(run(generate(&RefCell::new(registry.clone()))));
    assert_eq!(ended(&registry, "generate"), "success=1");
}

#[test]
fn functions_of_one_name_may_have_labels_of_their_own() {
    #[instrumented_endpoint(name = "generate", scope = registry, labels(tier = "free"))]
    async fn labelled(registry: &Registry) {}

    #[instrumented_endpoint(name = "generate", scope = registry)]
    async fn plain(registry: &Registry) {}

    let registry = Registry::new();
    run(labelled(&registry));
    run(plain(&registry));
    run(plain(&registry));
    assert_eq!(
        totals(&registry),
        ["dynamo_endpoint=generate 2", "dynamo_endpoint=generate,tier=free 1"]
    );
}

#[test]
fn more_places_than_are_remembered_are_counted_all_the_same() {
    let registry = Registry::new();
    let engines: Vec<_> =
        (0..40).map(|n| Engine { scope: registry.component(&format!("c{n}")) }).collect();
    for engine in [&engines, &engines, &engines].into_iter().flatten() {
        run(engine.generate());
    }
    // What goes makes room.
    engines[0].scope.remove();
    for engine in &engines[1..] {
        run(engine.generate());
    }
    let totals = totals(&registry);
    assert_eq!(totals.len(), 39);
    assert!(totals.iter().all(|total| total.ends_with(" 4")), "{totals:?}");
}
