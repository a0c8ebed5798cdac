//! Functions that are not `async`: how a run ends, and how long it took.

use std::fmt::Display;
use std::num::ParseIntError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::stream::{self, BoxStream, Stream};

use super::{ended, errors, in_flight, poll_next, sum};

struct Engine {
    registry: Registry,
    words: Vec<String>,
}

impl Engine {
    #[instrumented_endpoint(scope = &self.registry)]
    fn by_reference(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    #[instrumented_endpoint(scope = &self.registry)]
    fn by_mutable_reference<'a>(&'a mut self, word: &'a str) -> &'a mut String {
        self.words.push(word.to_owned());
        if let Some(last) = self.words.last_mut() {
            return last;
        }
        unreachable!("one was pushed")
    }

    #[instrumented_endpoint(scope = &self.registry)]
    fn by_mutable_value(mut self, word: &str) -> Self {
        self.words.push(word.to_owned());
        self
    }

    #[instrumented_endpoint(scope = &self.registry)]
    fn by_arc(self: Arc<Self>) -> Result<Arc<Self>, ()> {
        if self.words.is_empty() {
            return Err(());
        }
        Ok(self)
    }

    #[instrumented_endpoint(scope = &self.registry)]
    fn by_pin(self: Pin<&mut Self>) -> usize {
        self.get_mut().words.len()
    }

    #[instrumented_endpoint(scope = &self.registry)]
    fn by_box(self: Box<Self>) -> Vec<String> {
        self.words
    }

    #[instrumented_endpoint(scope = scope)]
    fn without_self(scope: &Scope, registry: Registry) -> Self {
        drop(scope.clone());
        Self { registry, words: Vec::new() }
    }
}

#[test]
fn a_question_mark_and_a_return_end_a_run_as_what_they_return() {
    #[instrumented_endpoint(scope = registry)]
    fn parse(registry: &Registry, words: &[&str]) -> Result<u8, ParseIntError> {
        assert_eq!(in_flight(registry, "parse"), Some(1.0));
        for word in words {
            if word.is_empty() {
                return Ok(0);
            }
            let n: u8 = word.parse()?;
            if n > 9 {
                return "x".parse();
            }
        }
        words.concat().parse()
    }

    let registry = Registry::new();
    for (words, ok) in [
        (&["7", ""][..], true),
        (&["7", "seven"], false),
        (&["10"], false),
        (&["1", "2"], true),
        (&["9", "9", "9"], false),
        (&[], false),
    ] {
        assert_eq!(parse(&registry, words).is_ok(), ok, "{words:?}");
    }
    assert_eq!(ended(&registry, "parse"), "server_error=4 success=2");
    assert_eq!(errors(&registry, "parse"), "generate=4");
}

#[test]
fn a_run_lasts_from_the_call_to_the_return() {
    #[instrumented_endpoint(scope = registry)]
    fn slow(registry: &Registry, time: &Manual) {
        assert!(!registry.is_endpoint());
        time.advance(Duration::from_secs(2));
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        slow(&registry, &time);
        time.advance(Duration::from_secs(9));
        slow(&registry, &time);
    });
    assert_eq!(sum(&registry, "slow", "request_duration_seconds_sum"), Some(4.0));
    assert_eq!(ended(&registry, "slow"), "success=2");
}

#[test]
fn a_panic_ends_a_run_and_goes_on() {
    #[instrumented_endpoint(scope = registry)]
    fn panics(registry: &Registry) -> Result<u8, ()> {
        assert!(registry.is_endpoint(), "as it is meant to");
        Err(())
    }

    let registry = Registry::new();
    assert!(catch_unwind(AssertUnwindSafe(|| panics(&registry))).is_err());
    assert_eq!(ended(&registry, "panics"), "panic=1");
    assert_eq!(errors(&registry, "panics"), "panic=1");
}

#[test]
fn a_function_that_never_returns_can_only_panic() {
    #[instrumented_endpoint(scope = registry)]
    fn diverges(registry: &Registry) -> ! {
        panic!("as it is meant to, in {registry:?}");
    }

    let registry = Registry::new();
    let diverged = catch_unwind(AssertUnwindSafe(|| diverges(&registry)));
    assert!(diverged.is_err());
    assert_eq!(ended(&registry, "diverges"), "panic=1");
}

#[test]
fn a_method_takes_self_in_every_form() {
    let registry = Registry::new();
    let mut engine = Engine::without_self(&registry, registry.clone());
    assert_eq!(engine.by_reference(0), None);
    engine.by_mutable_reference("a").push('!');
    engine = engine.by_mutable_value("b");
    assert_eq!(engine.by_reference(0), Some("a!"));
    assert_eq!(Pin::new(&mut engine).by_pin(), 2);
    assert!(Arc::new(Engine::without_self(&registry, registry.clone())).by_arc().is_err());
    let engine = Arc::new(engine).by_arc().ok().and_then(Arc::into_inner).unwrap();
    assert_eq!(Box::new(engine).by_box(), ["a!", "b"]);
    for endpoint in ["by_mutable_reference", "by_mutable_value", "by_pin", "by_box"] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
    }
    assert_eq!(ended(&registry, "by_reference"), "success=2");
    assert_eq!(ended(&registry, "by_arc"), "server_error=1 success=1");
    assert_eq!(ended(&registry, "without_self"), "success=2");
}

#[test]
fn generics_lifetimes_and_opaque_types_are_kept() {
    #[instrumented_endpoint(scope = registry)]
    fn longest<'a, 'b: 'a, T, const N: usize>(
        registry: &Registry,
        first: &'a [T],
        others: [&'b [T]; N],
    ) -> impl Iterator<Item = &'a T> + use<'a, 'b, T, N>
    where
        T: PartialEq + 'b,
    {
        drop(registry.clone());
        others.into_iter().fold(first, |a, b| if b.len() > a.len() { b } else { a }).iter()
    }

    #[instrumented_endpoint(scope = registry)]
    fn show(
        registry: &Registry,
        words: impl IntoIterator<Item = impl Display>,
        mut with: impl FnMut(String) -> String,
    ) -> Result<impl Display, impl Display> {
        let shown: String = words.into_iter().map(|word| with(word.to_string())).collect();
        if shown.is_empty() { Err(registry.is_endpoint()) } else { Ok(shown) }
    }

    let registry = Registry::new();
    let longest = longest(&registry, &[1, 2], [&[3], &[4, 5, 6]]);
    assert_eq!(longest.copied().collect::<Vec<_>>(), [4, 5, 6]);
    let shown = show(&registry, [1, 2], |word| word + ".");
    assert!(shown.is_ok_and(|shown| shown.to_string() == "1.2."));
    assert!(show(&registry, [""; 0], |word| word).is_err());
    assert_eq!(ended(&registry, "longest"), "success=1");
    assert_eq!(ended(&registry, "show"), "server_error=1 success=1");
}

#[test]
fn arguments_may_be_patterns_and_changed() {
    #[instrumented_endpoint(scope = registry, labels(cached))]
    fn take(
        (registry, mut offset): (&Registry, u8),
        [low, .., high]: [u8; 4],
        [cached, ..]: [bool; 2],
        into: &mut Vec<u8>,
        _: &str,
    ) {
        drop(registry.clone());
        offset += low + high;
        into.push(offset);
    }

    let (registry, mut into) = (Registry::new(), Vec::new());
    take((&registry, 1), [1, 0, 0, 2], [true, false], &mut into, "unused");
    assert_eq!(into, [4]);
    assert_eq!(ended(&registry, "take"), "success=1");
}

#[test]
fn arguments_live_as_long_as_without_the_attribute() {
    #[instrumented_endpoint(scope = registry)]
    fn keeps(registry: &Registry, kept: Rc<()>, _unused: Rc<()>, counts: impl Fn() -> usize) {
        drop(registry.clone());
        assert_eq!(counts(), 4);
        drop(kept);
        assert_eq!(counts(), 3);
    }

    let (registry, value) = (Registry::new(), Rc::new(()));
    let counted = Rc::clone(&value);
    keeps(&registry, value.clone(), value.clone(), move || Rc::strong_count(&counted));
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_run_that_returns_a_stream_lasts_as_long_as_that() {
    #[instrumented_endpoint(scope = scope)]
    fn tokens(scope: &Scope, count: u8) -> impl Stream<Item = u8> + use<> {
        drop(scope.clone());
        stream::iter(0..count)
    }

    #[instrumented_endpoint(scope = scope)]
    fn fallible(scope: &Scope, count: u8) -> Result<BoxStream<'static, u8>, &'static str> {
        drop(scope.clone());
        if count == 0 {
            return Err("nothing to count");
        }
        Ok(Box::pin(stream::iter(0..count)))
    }

    let registry = Registry::new();
    let mut streams = [Box::pin(tokens(&registry, 2)) as _, fallible(&registry, 2).unwrap()];
    for (endpoint, stream) in ["tokens", "fallible"].into_iter().zip(&mut streams) {
        assert_eq!(in_flight(&registry, endpoint), Some(1.0), "{endpoint}");
        for item in [Some(0), Some(1), None] {
            assert_eq!(poll_next(stream), Poll::Ready(item), "{endpoint}");
        }
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), Some(2.0), "{endpoint}");
    }
    assert!(fallible(&registry, 0).is_err());
    assert_eq!(ended(&registry, "fallible"), "server_error=1 success=1");
}
