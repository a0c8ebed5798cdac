//! Whole impl blocks: each function is an endpoint, unless it is skipped.

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::LabelValue;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use super::{by_label, ended, page, run, sum};

#[derive(Debug, Clone, Copy, LabelValue)]
enum Tier {
    Free,
    Paid,
}

struct Engine {
    scope: Scope,
    tier: Tier,
}

#[instrumented_endpoint(scope = &self.scope, labels(tier = self.tier))]
impl Engine {
    const REPLY: &str = "hi";

    #[instrumented_endpoint(skip)]
    fn new(scope: Scope, tier: Tier) -> Self {
        Self { scope, tier }
    }

    async fn generate(&self, ok: bool) -> Result<&'static str, ()> {
        ok.then_some(Self::REPLY).ok_or(())
    }

    fn tokenize(&self, text: &str) -> usize {
        text.split(' ').count()
    }

    #[instrumented_endpoint(name = "embed", labels(kind = "vector"))]
    fn embedding(&self) -> u8 {
        7
    }

    #[instrumented_endpoint(scope = scope, labels(tier))]
    fn elsewhere(scope: &Scope, tier: Tier) -> Self {
        Self { scope: scope.clone(), tier }
    }

    fn tokens(&self) -> BoxStream<'static, u8> {
        stream::iter(0..3).boxed()
    }
}

struct Worker<T>(Registry, T);

#[instrumented_endpoint(name = "worker", scope = self.0)]
impl<T: Clone> Worker<T> {
    fn value(&self) -> T {
        self.1.clone()
    }
}

fn labels_of(registry: &Registry, endpoint: &str) -> String {
    let page = page(registry);
    let sample = page.samples().iter().find(|sample| {
        sample.name == "dynamo_component_requests_total"
            && sample.labels.get("dynamo_endpoint").is_some_and(|it| it == endpoint)
    });
    let labels = &sample.unwrap().labels;
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_function_is_an_endpoint_of_its_type() {
    let registry = Registry::new();
    let engine = Engine::new(registry.component("backend"), Tier::Paid);
    assert_eq!(run(engine.generate(true)), Ok("hi"));
    assert!(run(engine.generate(false)).is_err());
    assert_eq!(engine.tokenize("to be"), 2);
    assert_eq!(run(engine.tokens().count()), 3);
    assert_eq!(ended(&registry, "Engine__generate"), "server_error=1 success=1");
    assert_eq!(ended(&registry, "Engine__tokenize"), "success=1");
    assert_eq!(ended(&registry, "Engine__tokens"), "success=1");
    assert_eq!(sum(&registry, "Engine__tokens", "output_tokens_total"), Some(3.0));
    assert_eq!(
        labels_of(&registry, "Engine__tokenize"),
        "dynamo_component=backend dynamo_endpoint=Engine__tokenize tier=paid"
    );
}

#[test]
fn what_is_said_of_a_function_stands_in_place_of_what_is_said_of_the_block() {
    let registry = Registry::new();
    let engine = Engine::new(registry.component("backend"), Tier::Paid);
    assert_eq!(engine.embedding(), 7);
    assert_eq!(
        labels_of(&registry, "embed"),
        "dynamo_component=backend dynamo_endpoint=embed kind=vector"
    );
    assert!(matches!(Engine::elsewhere(&registry, Tier::Free).tier, Tier::Free));
    assert_eq!(
        labels_of(&registry, "Engine__elsewhere"),
        "dynamo_endpoint=Engine__elsewhere tier=free"
    );
}

#[test]
fn what_is_skipped_is_not_counted() {
    let registry = Registry::new();
    drop(Engine::new(registry.component("backend"), Tier::Free));
    assert_eq!(page(&registry).samples(), []);
}

#[test]
fn a_block_may_have_a_name_and_generics() {
    let registry = Registry::new();
    assert_eq!(Worker(registry.clone(), "x").value(), "x");
    assert_eq!(Worker(registry.clone(), 7).value(), 7);
    assert_eq!(
        by_label(&registry, "worker__value", "request_outcomes_total", "outcome"),
        "success=2"
    );
}
