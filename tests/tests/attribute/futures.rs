//! Functions that return a future: a run lasts as long as that does.

use std::pin::{Pin, pin};
use std::time::Duration;

use async_trait::async_trait;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use futures_util::stream::{self, BoxStream, Stream};

use super::{ended, errors, in_flight, page, poll, run, run_to_panic, sent, sum};

#[instrumented_endpoint(scope = scope)]
#[expect(clippy::manual_async_fn, reason = "it is the form that is measured")]
fn block<'a>(
    scope: &'a Scope,
    text: &'a str,
) -> impl Future<Output = Result<u8, std::num::ParseIntError>> + Send + 'a {
    async move {
        tokio::task::yield_now().await;
        let n: u8 = text.parse()?;
        Ok(n)
    }
}

#[instrumented_endpoint(scope = scope)]
fn boxed<'a>(
    scope: &'a Scope,
    text: &'a str,
) -> Pin<Box<dyn Future<Output = Result<u8, std::num::ParseIntError>> + Send + 'a>> {
    Box::pin(async move {
        tokio::task::yield_now().await;
        text.parse()
    })
}

#[instrumented_endpoint(scope = scope)]
fn after(scope: &Scope, text: &str) -> impl Future<Output = Result<u8, String>> + Send + use<> {
    drop(scope.clone());
    let text = text.to_owned();
    async move {
        tokio::task::yield_now().await;
        text.parse().map_err(|_| text)
    }
}

#[instrumented_endpoint(scope = scope)]
fn other(scope: &Scope, text: String) -> BoxFuture<'static, Result<u8, String>> {
    drop(scope.clone());
    Box::pin(futures_util::FutureExt::map(tokio::task::yield_now(), |()| {
        text.parse().or(Err(text))
    }))
}

#[test]
fn a_run_ends_as_what_its_future_comes_to() {
    let registry = Registry::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for text in ["7", "seven"] {
        let ok = text == "7";
        assert_eq!(runtime.block_on(sent(block(&registry, text))).is_ok(), ok);
        assert_eq!(runtime.block_on(sent(boxed(&registry, text))).is_ok(), ok);
        assert_eq!(runtime.block_on(sent(after(&registry, text))).is_ok(), ok);
        assert_eq!(runtime.block_on(sent(other(&registry, text.to_owned()))).is_ok(), ok);
    }
    for endpoint in ["block", "boxed", "after", "other"] {
        assert_eq!(ended(&registry, endpoint), "server_error=1 success=1", "{endpoint}");
    }
}

#[test]
fn a_run_whose_future_is_dropped_was_cancelled() {
    let registry = Registry::new();
    let mut waiting = Box::pin(block(&registry, "7"));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "block"), Some(1.0));
    drop(waiting);
    assert_eq!(ended(&registry, "block"), "cancelled=1");
    let mut waiting = other(&registry, "7".to_owned());
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "other"), Some(1.0));
    drop(waiting);
    assert_eq!(ended(&registry, "other"), "cancelled=1");
}

#[test]
fn what_has_not_run_is_not_counted_and_what_has_is() {
    let registry = Registry::new();
    drop((block(&registry, "7"), boxed(&registry, "7")));
    assert_eq!(page(&registry).samples(), []);
    drop((after(&registry, "7"), other(&registry, "7".to_owned())));
    assert_eq!(ended(&registry, "after"), "cancelled=1");
    assert_eq!(ended(&registry, "other"), "cancelled=1");
}

#[test]
fn a_run_lasts_to_the_end_of_its_future() {
    #[instrumented_endpoint(scope = scope)]
    fn slow(scope: &Scope, time: &Manual) -> impl Future<Output = ()> {
        drop(scope.clone());
        time.advance(Duration::from_secs(1));
        let time = time.clone();
        async move {
            time.advance(Duration::from_secs(2));
            tokio::task::yield_now().await;
            time.advance(Duration::from_secs(3));
        }
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let mut slow = pin!(slow(&registry, &time));
        assert!(poll(slow.as_mut()).is_pending());
        time.advance(Duration::from_secs(4));
        assert!(poll(slow.as_mut()).is_ready());
        time.advance(Duration::from_secs(90));
    });
    assert_eq!(sum(&registry, "slow", "request_duration_seconds_sum"), Some(10.0));
    assert_eq!(ended(&registry, "slow"), "success=1");
}

#[test]
fn a_panic_in_a_future_is_the_end_of_its_run() {
    #[instrumented_endpoint(scope = scope)]
    fn panicking(scope: &Scope) -> BoxFuture<'static, u8> {
        drop(scope.clone());
        let fails = true;
        Box::pin(async move {
            assert!(!fails, "as it is meant to");
            7
        })
    }

    let registry = Registry::new();
    run_to_panic(panicking(&registry));
    assert_eq!(ended(&registry, "panicking"), "panic=1");
    assert_eq!(errors(&registry, "panicking"), "panic=1");
}

#[test]
fn a_future_may_come_to_a_stream() {
    #[instrumented_endpoint(scope = scope)]
    fn late(scope: &Scope) -> impl Future<Output = Result<impl Stream<Item = u8>, ()>> {
        drop(scope.clone());
        let count = 3;
        async move { Ok(stream::iter(0..count)) }
    }

    #[instrumented_endpoint(scope = scope)]
    fn later(scope: &Scope) -> BoxFuture<'_, BoxStream<'static, u8>> {
        Box::pin(async move {
            drop(scope.clone());
            stream::iter(0..3).boxed()
        })
    }

    let registry = Registry::new();
    assert_eq!(run(run(late(&registry)).unwrap().count()), 3);
    let stream = run(later(&registry));
    assert_eq!(in_flight(&registry, "later"), Some(1.0));
    assert_eq!(run(stream.count()), 3);
    for endpoint in ["late", "later"] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(sum(&registry, endpoint, "output_tokens_total"), Some(3.0), "{endpoint}");
    }
}

#[test]
fn a_future_need_not_be_send() {
    #[instrumented_endpoint(scope = scope)]
    fn local(scope: &Scope) -> LocalBoxFuture<'static, usize> {
        drop(scope.clone());
        let value = std::rc::Rc::new(7);
        Box::pin(async move { *value })
    }

    let registry = Registry::new();
    assert_eq!(run(local(&registry)), 7);
    assert_eq!(ended(&registry, "local"), "success=1");
}

#[async_trait]
trait Model {
    async fn below(&self, time: &Manual, ok: bool) -> Result<u8, ()>;
    async fn above(&self, (time, ok): (&Manual, bool)) -> Result<u8, ()>;
    async fn stream(&mut self, count: u8) -> Result<BoxStream<'static, u8>, ()>;

    #[instrumented_endpoint(scope = self.scope())]
    async fn provided(&self) -> bool {
        self.scope().is_endpoint()
    }

    fn scope(&self) -> &Scope;
}

struct Echo {
    scope: Scope,
}

/// Each step takes 100 ms of the time that is told.
async fn step(time: &Manual) {
    time.advance(Duration::from_millis(100));
    tokio::task::yield_now().await;
}

#[async_trait]
impl Model for Echo {
    #[instrumented_endpoint(scope = &self.scope, labels(ok = ok))]
    async fn below(&self, time: &Manual, ok: bool) -> Result<u8, ()> {
        step(time).await;
        step(time).await;
        if !ok {
            return Err(());
        }
        Ok(7)
    }

    #[instrumented_endpoint(scope = self.scope)]
    async fn above(&self, (time, ok): (&Manual, bool)) -> Result<u8, ()> {
        step(time).await;
        let seven = ok.then_some(7).ok_or(())?;
        Ok(seven)
    }

    #[instrumented_endpoint(scope = self.scope)]
    async fn stream(&mut self, count: u8) -> Result<BoxStream<'static, u8>, ()> {
        Ok(stream::iter(0..count).boxed())
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The same, measured before it is made into boxed futures.
struct Outside {
    scope: Scope,
}

#[instrumented_endpoint(name = "outside", scope = &self.scope)]
#[async_trait]
impl Model for Outside {
    async fn below(&self, time: &Manual, ok: bool) -> Result<u8, ()> {
        step(time).await;
        step(time).await;
        ok.then_some(7).ok_or(())
    }

    async fn above(&self, (time, ok): (&Manual, bool)) -> Result<u8, ()> {
        step(time).await;
        if ok { Ok(7) } else { Err(()) }
    }

    async fn stream(&mut self, count: u8) -> Result<BoxStream<'static, u8>, ()> {
        Ok(stream::iter(0..count).boxed())
    }

    #[instrumented_endpoint(skip)]
    fn scope(&self) -> &Scope {
        &self.scope
    }
}

fn check(registry: &Registry, prefix: &str, mut model: impl Model + Sync) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let time = Manual::new();
    time.run(|| {
        runtime.block_on(async {
            for ok in [true, false] {
                assert_eq!(model.below(&time, ok).await.is_ok(), ok);
                assert_eq!(model.above((&time, ok)).await.is_ok(), ok);
            }
            drop(model.below(&time, true));
            let stream = model.stream(3).await.unwrap();
            assert_eq!(in_flight(registry, &format!("{prefix}stream")), Some(1.0));
            assert_eq!(stream.count().await, 3);
            assert!(!model.provided().await);
        });
    });
    for (method, seconds) in [("below", 0.4), ("above", 0.2)] {
        let endpoint = format!("{prefix}{method}");
        let took = sum(registry, &endpoint, "request_duration_seconds_sum").unwrap();
        assert!((took - seconds).abs() < 1e-9, "{endpoint} took {took}");
        assert_eq!(sum(registry, &endpoint, "requests_total"), Some(2.0), "{endpoint}");
        assert_eq!(errors(registry, &endpoint), "generate=1", "{endpoint}");
    }
    assert_eq!(ended(registry, &format!("{prefix}stream")), "success=1");
    assert_eq!(ended(registry, "provided"), "success=1");
}

#[test]
fn methods_below_async_trait_are_measured_to_their_end() {
    let registry = Registry::new();
    check(&registry, "", Echo { scope: registry.component("backend") });
}

#[test]
fn a_block_above_async_trait_is_measured_to_its_end() {
    let registry = Registry::new();
    check(&registry, "outside__", Outside { scope: registry.component("backend") });
}

/// An alias as many crates have one, which is not that of `futures`.
mod theirs {
    use std::pin::Pin;

    pub type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, u8>> + Send>>;
    pub type Done = u8;
}

#[test]
fn a_future_that_outlives_what_it_was_lent_is_measured_from_the_call() {
    struct Engine {
        scope: Scope,
    }

    impl Engine {
        #[instrumented_endpoint(scope = &self.scope)]
        fn boxed(&self, n: u8) -> BoxFuture<'static, u8> {
            Box::pin(async move { n })
        }

        #[instrumented_endpoint(scope = &self.scope)]
        fn object(&self, n: u8) -> Pin<Box<dyn Future<Output = u8> + Send>> {
            Box::pin(async move { n })
        }

        #[instrumented_endpoint(scope = &self.scope)]
        fn used(&self, n: u8) -> impl Future<Output = u8> + use<> {
            async move { n }
        }

        #[instrumented_endpoint(scope = &self.scope)]
        fn theirs(&self, n: u8) -> theirs::BoxFuture<theirs::Done> {
            Box::pin(async move { n.checked_sub(1).ok_or(n) })
        }

        #[instrumented_endpoint(scope = &self.scope, labels(long))]
        #[expect(clippy::manual_async_fn, reason = "it is the form that is measured")]
        fn labelled(&self, long: bool) -> impl Future<Output = u8> {
            async { 7 }
        }
    }

    let registry = Registry::new();
    let engine = Engine { scope: registry.component("c") };
    let future = engine.boxed(1);
    assert_eq!(sum(&registry, "boxed", "requests_started_total"), Some(1.0));
    assert_eq!(run(future), 1);
    assert_eq!((run(engine.object(2)), run(engine.used(3))), (2, 3));
    assert_eq!((run(engine.theirs(1)), run(engine.theirs(0))), (Ok(0), Err(0)));
    assert_eq!(run(engine.labelled(true)), 7);
    for endpoint in ["boxed", "object", "used", "labelled"] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
    }
    assert_eq!(ended(&registry, "theirs"), "server_error=1 success=1");
}
