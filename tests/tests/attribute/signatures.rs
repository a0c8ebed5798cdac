//! What a function may look like.

use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;

use super::{ended, run, sent};

struct Engine {
    registry: Registry,
    replies: u8,
}

struct Prompt {
    words: [&'static str; 2],
    options: (u8, bool),
}

/// Names that a body brings in over the names of the signature.
enum Shadow {
    Result,
    String,
}

impl Engine {
    fn new() -> Self {
        Self { registry: Registry::new(), replies: 0 }
    }

    #[instrumented_endpoint(scope = &self.registry)]
    async fn by_reference(&self, step: u8) -> u8 {
        self.replies + step
    }

    #[instrumented_endpoint(scope = &self.registry)]
    async fn by_mutable_reference(&mut self, step: u8) -> &u8 {
        self.replies += step;
        &self.replies
    }

    #[instrumented_endpoint(scope = &self.registry)]
    async fn by_mutable_value(mut self, step: u8) -> Self {
        self.replies += step;
        self
    }

    #[instrumented_endpoint(scope = &self.registry)]
    async fn by_arc(self: Arc<Self>, step: u8) -> Result<Arc<Self>, ()> {
        if step == 0 {
            return Err(());
        }
        Ok(self)
    }

    #[instrumented_endpoint(scope = &self.registry)]
    async fn by_box(self: Box<Self>) -> Registry {
        self.registry
    }

    #[instrumented_endpoint(scope = registry)]
    async fn without_self(registry: &Registry) -> Self {
        Self { registry: registry.clone(), replies: 1 }
    }
}

#[test]
fn a_method_takes_self_in_every_form() {
    let mut engine = Engine::new();
    let registry = engine.registry.clone();
    assert_eq!(run(engine.by_reference(1)), 1);
    assert_eq!(run(engine.by_mutable_reference(2)), &2);
    engine = run(engine.by_mutable_value(3));
    assert_eq!(engine.replies, 5);
    let engine = Arc::new(engine);
    assert!(run(Arc::clone(&engine).by_arc(1)).is_ok());
    assert!(run(engine.by_arc(0)).is_err());
    run(Box::new(Engine { registry: registry.clone(), replies: 0 }).by_box());
    assert_eq!(run(Engine::without_self(&registry)).replies, 1);
    for endpoint in
        ["by_reference", "by_mutable_reference", "by_mutable_value", "by_box", "without_self"]
    {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
    }
    assert_eq!(ended(&registry, "by_arc"), "server_error=1 success=1");
}

#[test]
fn a_method_of_a_trait_is_measured_where_it_has_a_body() {
    trait Model {
        fn registry(&self) -> &Registry;

        #[instrumented_endpoint(name = "warm_up", scope = self.registry())]
        async fn warm_up(&self) -> bool {
            true
        }

        async fn generate(&self) -> u8;
    }

    impl Model for Engine {
        fn registry(&self) -> &Registry {
            &self.registry
        }

        #[instrumented_endpoint(name = "generate", scope = &self.registry)]
        async fn generate(&self) -> u8 {
            self.replies
        }
    }

    let engine = Engine::new();
    assert!(run(engine.warm_up()));
    assert_eq!(run(engine.generate()), 0);
    assert_eq!(ended(&engine.registry, "warm_up"), "success=1");
    assert_eq!(ended(&engine.registry, "generate"), "success=1");
}

#[test]
fn generics_and_lifetimes_are_kept() {
    #[instrumented_endpoint(scope = registry)]
    async fn longest<'a, 'b: 'a, T, const N: usize>(
        registry: &Registry,
        first: &'a [T],
        others: [&'b [T]; N],
    ) -> &'a [T]
    where
        T: PartialEq + 'b,
    {
        others.into_iter().fold(first, |a, b| if b.len() > a.len() { b } else { a })
    }

    let registry = Registry::new();
    assert_eq!(run(longest(&registry, &[1, 2], [&[3], &[4, 5, 6]])), [4, 5, 6]);
    assert_eq!(ended(&registry, "longest"), "success=1");
}

#[test]
fn arguments_may_be_opaque() {
    #[instrumented_endpoint(scope = registry)]
    async fn join(
        registry: &Registry,
        words: impl IntoIterator<Item = impl Display>,
        with: impl Fn(String) -> String,
    ) -> String {
        words.into_iter().map(|word| with(word.to_string())).collect()
    }

    let registry = Registry::new();
    assert_eq!(run(join(&registry, [1, 2], |word| word + ".")), "1.2.");
    assert_eq!(ended(&registry, "join"), "success=1");
}

#[test]
fn arguments_may_be_mutable_references() {
    #[instrumented_endpoint(scope = registry)]
    async fn fill(registry: &Registry, into: &mut Vec<u8>, mut count: u8) -> Result<(), u8> {
        while count > 0 {
            into.push(count);
            count -= 1;
        }
        into.first().map(drop).ok_or(count)
    }

    let (registry, mut into) = (Registry::new(), Vec::new());
    assert_eq!(run(fill(&registry, &mut into, 0)), Err(0));
    assert_eq!(run(fill(&registry, &mut into, 2)), Ok(()));
    assert_eq!(into, [2, 1]);
    assert_eq!(ended(&registry, "fill"), "server_error=1 success=1");
}

#[test]
fn arguments_may_be_patterns() {
    #[instrumented_endpoint(scope = registry, labels(cached = cached))]
    async fn take(
        (registry, mut offset): (&Registry, u8),
        Prompt { words: [first, _], options: (count, cached) }: Prompt,
        &step: &u8,
        _: &str,
        [low, .., high]: [u8; 4],
    ) -> String {
        offset += count + step + low + high;
        assert!(cached && !registry.is_endpoint());
        format!("{first}{offset}")
    }

    let registry = Registry::new();
    let prompt = Prompt { words: ["a", "b"], options: (20, true) };
    assert_eq!(run(take((&registry, 1), prompt, &3, "unused", [100, 0, 0, 4])), "a128");
    assert_eq!(ended(&registry, "take"), "success=1");
}

#[test]
fn a_body_may_shadow_the_names_of_the_signature() {
    #[instrumented_endpoint(scope = registry)]
    async fn shadows(registry: &Registry, text: &str) -> Result<String, ()> {
        #[allow(clippy::enum_glob_use)]
        use Shadow::*;
        let kinds = [Result, String];
        let is_result = matches!(kinds[0], Shadow::Result);
        let registry = (is_result && matches!(kinds[1], Shadow::String), registry);
        let text = text.to_owned() + if registry.0 { "!" } else { "?" };
        Ok(text)
    }

    let registry = Registry::new();
    assert_eq!(run(shadows(&registry, "x")).as_deref(), Ok("x!"));
    assert_eq!(ended(&registry, "shadows"), "success=1");
}

#[test]
fn a_body_sees_none_of_the_names_that_generated_code_uses() {
    #[instrumented_endpoint(scope = call)]
    async fn value(call: &Registry, value: u8, stream: u8, never: u8, item: u8, error: u8) -> u8 {
        fn start() -> u8 {
            32
        }
        assert!(!call.is_endpoint());
        value + stream + never + item + error + start()
    }

    let registry = Registry::new();
    assert_eq!(run(value(&registry, 1, 2, 4, 8, 16)), 63);
    assert_eq!(ended(&registry, "value"), "success=1");
}

#[test]
fn a_future_is_send_where_it_was() {
    #[instrumented_endpoint(scope = registry)]
    async fn sendable<T: Send>(registry: Registry, value: T) -> Result<T, ()> {
        tokio::task::yield_now().await;
        Ok(value)
    }

    let registry = Registry::new();
    let future = sent(sendable(registry.clone(), 7));
    let done = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(future)
    });
    assert_eq!(done.join().unwrap(), Ok(7));
    assert_eq!(ended(&registry, "sendable"), "success=1");
}

#[test]
fn a_future_need_not_be_send() {
    #[instrumented_endpoint(scope = registry)]
    async fn local(registry: &Registry, value: Rc<u8>) -> Rc<u8> {
        value
    }

    let registry = Registry::new();
    assert_eq!(*run(local(&registry, Rc::new(7))), 7);
    assert_eq!(ended(&registry, "local"), "success=1");
}

#[test]
fn arguments_live_as_long_as_without_the_attribute() {
    #[instrumented_endpoint(scope = registry)]
    async fn keeps(registry: &Registry, kept: Rc<()>, dropped: Rc<()>, _unused: Rc<()>) {
        drop(dropped);
        tokio::task::yield_now().await;
        drop(kept);
    }

    let registry = Registry::new();
    let (kept, dropped, unused) = (Rc::new(()), Rc::new(()), Rc::new(()));
    let mut run = Box::pin(keeps(&registry, kept.clone(), dropped.clone(), unused.clone()));
    let counts = || [&kept, &dropped, &unused].map(Rc::strong_count);
    assert_eq!(counts(), [2, 2, 2]);
    assert!(super::poll(run.as_mut()).is_pending());
    assert_eq!(counts(), [2, 1, 2]);
    assert!(super::poll(run.as_mut()).is_ready());
    assert_eq!(counts(), [1, 1, 1]);
    assert_eq!(ended(&registry, "keeps"), "success=1");
}
