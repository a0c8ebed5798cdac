//! Functions that return a stream: a run lasts as long as the stream does.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::stream::{self, BoxStream, LocalBoxStream};
use futures_util::{Stream, StreamExt as _};

use super::{ended, errors, in_flight, poll_next, run, run_to_panic, sent, sum};

/// A `Result` that is not called one.
type Reply<T> = Result<T, &'static str>;

#[instrumented_endpoint(scope = scope)]
async fn tokens(scope: &Scope, count: u8) -> impl Stream<Item = u8> + use<> {
    stream::iter(0..count)
}

#[instrumented_endpoint(scope = scope)]
async fn fallible(
    scope: &Scope,
    count: Option<u8>,
) -> Result<impl Stream<Item = u8> + Send + 'static, &'static str> {
    let count = count.ok_or("no count")?;
    if count == 0 {
        return Err("nothing to count");
    }
    Ok(stream::iter(0..count))
}

#[instrumented_endpoint(scope = scope)]
async fn boxed(scope: &Scope, count: u8) -> BoxStream<'static, u8> {
    stream::iter(0..count).boxed()
}

#[instrumented_endpoint(scope = scope)]
async fn pinned(scope: &Scope, count: u8) -> Pin<Box<dyn Stream<Item = u8> + Send>> {
    if count == 0 {
        return Box::pin(stream::empty());
    }
    Box::pin(stream::iter(0..count))
}

#[instrumented_endpoint(scope = scope)]
async fn results(
    scope: &Scope,
    items: Vec<Result<u8, ()>>,
) -> std::io::Result<BoxStream<'static, Result<u8, ()>>> {
    Ok(stream::iter(items).boxed())
}

fn check_whole(registry: &Registry, endpoint: &str, mut stream: impl Stream<Item = u8> + Unpin) {
    assert_eq!(in_flight(registry, endpoint), Some(1.0), "{endpoint}");
    for item in 0..5 {
        assert_eq!(poll_next(&mut stream), Poll::Ready(Some(item)), "{endpoint}");
    }
    assert_eq!(in_flight(registry, endpoint), Some(1.0), "{endpoint}");
    assert_eq!(poll_next(&mut stream), Poll::Ready(None), "{endpoint}");
    // The end of the stream is the end, and not the drop of what is left of it.
    assert_eq!(ended(registry, endpoint), "success=1", "{endpoint}");
    assert_eq!(sum(registry, endpoint, "output_tokens_total"), Some(5.0), "{endpoint}");
}

fn check_dropped(registry: &Registry, endpoint: &str, mut stream: impl Stream<Item = u8> + Unpin) {
    assert_eq!(poll_next(&mut stream), Poll::Ready(Some(0)), "{endpoint}");
    assert_eq!(poll_next(&mut stream), Poll::Ready(Some(1)), "{endpoint}");
    assert_eq!(in_flight(registry, endpoint), Some(1.0), "{endpoint}");
    drop(stream);
    assert_eq!(ended(registry, endpoint), "cancelled=1", "{endpoint}");
    assert_eq!(errors(registry, endpoint), "", "{endpoint}");
    assert_eq!(sum(registry, endpoint, "output_tokens_total"), Some(2.0), "{endpoint}");
}

#[test]
fn a_run_is_in_flight_until_its_stream_ends() {
    let registry = Registry::new();
    check_whole(&registry, "tokens", run(tokens(&registry, 5)));
    check_whole(&registry, "fallible", run(fallible(&registry, Some(5))).unwrap());
    check_whole(&registry, "boxed", run(boxed(&registry, 5)));
    check_whole(&registry, "pinned", run(pinned(&registry, 5)));
}

#[test]
fn a_stream_that_is_dropped_early_was_cancelled() {
    let registry = Registry::new();
    check_dropped(&registry, "tokens", run(tokens(&registry, 5)));
    check_dropped(&registry, "fallible", run(fallible(&registry, Some(5))).unwrap());
    check_dropped(&registry, "boxed", run(boxed(&registry, 5)));
    check_dropped(&registry, "pinned", run(pinned(&registry, 5)));
}

#[test]
fn a_stream_that_is_never_asked_was_cancelled() {
    let registry = Registry::new();
    drop(run(tokens(&registry, 5)));
    assert_eq!(ended(&registry, "tokens"), "cancelled=1");
}

#[test]
fn an_error_before_the_stream_ends_the_run() {
    let registry = Registry::new();
    assert_eq!(run(fallible(&registry, None)).err(), Some("no count"));
    assert_eq!(run(fallible(&registry, Some(0))).err(), Some("nothing to count"));
    assert_eq!(ended(&registry, "fallible"), "server_error=2");
    assert_eq!(errors(&registry, "fallible"), "generate=2");
}

#[test]
fn an_item_that_is_an_error_makes_the_run_one() {
    let registry = Registry::new();
    let stream = run(results(&registry, vec![Ok(1), Err(()), Ok(2)])).unwrap();
    assert_eq!(run(stream.collect::<Vec<_>>()), [Ok(1), Err(()), Ok(2)]);
    assert_eq!(ended(&registry, "results"), "server_error=1");
    assert_eq!(errors(&registry, "results"), "response_stream=1");
    assert_eq!(sum(&registry, "results", "output_tokens_total"), Some(2.0));
}

#[test]
fn a_stream_that_is_left_at_its_error_failed() {
    let registry = Registry::new();
    let mut stream = run(results(&registry, vec![Err(()), Ok(1)])).unwrap();
    assert_eq!(poll_next(&mut stream), Poll::Ready(Some(Err(()))));
    drop(stream);
    assert_eq!(ended(&registry, "results"), "server_error=1");
}

#[test]
fn items_that_are_results_by_another_name_are_results() {
    #[instrumented_endpoint(scope = scope)]
    async fn aliased(scope: &Scope) -> impl Stream<Item = Reply<u8>> + use<> {
        stream::iter([Ok(1), Err("broken")])
    }

    let registry = Registry::new();
    assert_eq!(run(run(aliased(&registry)).count()), 2);
    assert_eq!(ended(&registry, "aliased"), "server_error=1");
}

#[test]
fn items_of_a_generic_type_are_results_if_they_say_so() {
    #[instrumented_endpoint(scope = scope)]
    async fn generic<T, E>(
        scope: &Scope,
        items: Vec<Result<T, E>>,
    ) -> impl Stream<Item = Result<T, E>> + use<T, E> {
        stream::iter(items)
    }

    let registry = Registry::new();
    run(run(generic(&registry, vec![Ok("x"), Err(7)])).for_each(async |_| {}));
    assert_eq!(ended(&registry, "generic"), "server_error=1");
}

#[test]
fn token_times_are_those_of_the_items() {
    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let mut stream = run(boxed(&registry, 3));
        for step in [150, 15, 25] {
            time.advance(Duration::from_millis(step));
            assert!(matches!(poll_next(&mut stream), Poll::Ready(Some(_))));
        }
        time.advance(Duration::from_millis(60));
        assert_eq!(poll_next(&mut stream), Poll::Ready(None));
        time.advance(Duration::from_secs(9));
    });
    for (metric, value) in [
        ("time_to_first_token_seconds_count", 1.0),
        ("time_to_first_token_seconds_sum", 0.15),
        ("inter_token_latency_seconds_count", 2.0),
        ("inter_token_latency_seconds_sum", 0.04),
        ("request_duration_seconds_sum", 0.25),
        ("output_tokens_total", 3.0),
    ] {
        assert_eq!(sum(&registry, "boxed", metric), Some(value), "{metric}");
    }
}

#[test]
fn the_time_to_the_first_token_includes_that_to_the_stream() {
    #[instrumented_endpoint(scope = scope)]
    async fn prefilled(scope: &Scope, time: &Manual) -> impl Stream<Item = u8> + use<> {
        time.advance(Duration::from_millis(400));
        stream::iter([1])
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let stream = run(prefilled(&registry, &time));
        time.advance(Duration::from_millis(100));
        run(stream.for_each(async |_| {}));
    });
    assert_eq!(sum(&registry, "prefilled", "time_to_first_token_seconds_sum"), Some(0.5));
}

#[test]
fn a_stream_without_items_has_no_token_times() {
    let registry = Registry::new();
    assert_eq!(poll_next(&mut run(tokens(&registry, 0))), Poll::Ready(None));
    assert_eq!(ended(&registry, "tokens"), "success=1");
    let first = sum(&registry, "tokens", "time_to_first_token_seconds_count");
    assert_eq!(first.unwrap_or(0.0), 0.0);
    assert_eq!(sum(&registry, "tokens", "output_tokens_total").unwrap_or(0.0), 0.0);
}

#[test]
fn a_function_without_a_stream_has_no_token_metrics() {
    #[instrumented_endpoint(scope = scope)]
    async fn plain(scope: &Scope) -> Vec<u8> {
        vec![1, 2]
    }

    let registry = Registry::new();
    assert_eq!(run(plain(&registry)), [1, 2]);
    assert_eq!(ended(&registry, "plain"), "success=1");
    assert_eq!(sum(&registry, "plain", "output_tokens_total"), None);
}

#[test]
fn a_stream_that_the_type_does_not_show_is_measured_if_told() {
    trait Tokens: Stream<Item = u8> {}
    impl<S: Stream<Item = u8>> Tokens for S {}

    #[instrumented_endpoint(scope = scope, stream)]
    async fn told(scope: &Scope) -> impl Tokens + use<> {
        stream::iter(0..5)
    }

    #[instrumented_endpoint(scope = scope)]
    async fn untold(scope: &Scope) -> impl Tokens + use<> {
        stream::iter(0..5)
    }

    let registry = Registry::new();
    check_whole(&registry, "told", run(told(&registry)));
    let stream = run(untold(&registry));
    assert_eq!(ended(&registry, "untold"), "success=1");
    assert_eq!(run(stream.count()), 5);
}

#[test]
fn a_stream_may_be_told_though_its_type_shows_it() {
    #[instrumented_endpoint(scope = scope, stream, name = "shown")]
    async fn shown(scope: &Scope) -> Result<BoxStream<'static, u8>, ()> {
        Ok(stream::iter(0..5).boxed())
    }

    let registry = Registry::new();
    check_whole(&registry, "shown", run(shown(&registry)).unwrap());
}

#[test]
fn a_stream_may_borrow_what_the_function_was_given() {
    #[instrumented_endpoint(scope = scope)]
    async fn borrowing(scope: &Scope, words: &[u8]) -> impl Stream<Item = u8> {
        stream::iter(words.iter().copied())
    }

    #[instrumented_endpoint(scope = scope)]
    async fn boxed_borrowing<'a>(scope: &Scope, words: &'a [u8]) -> BoxStream<'a, u8> {
        stream::iter(words.iter().copied()).boxed()
    }

    let registry = Registry::new();
    let words = vec![0, 1, 2, 3, 4];
    check_whole(&registry, "borrowing", run(borrowing(&registry, &words)));
    check_whole(&registry, "boxed_borrowing", run(boxed_borrowing(&registry, &words)));
}

#[test]
fn a_stream_may_outlive_what_the_function_was_given() {
    #[instrumented_endpoint(scope = scope)]
    async fn outliving<T>(scope: &Scope, words: &[T]) -> BoxStream<'static, u8> {
        let count = u8::try_from(words.len()).unwrap_or(u8::MAX);
        stream::iter(0..count).boxed()
    }

    let registry = Registry::new();
    let stream = {
        let text = String::from("five!");
        let words: Vec<&str> = text.split("").skip(1).take(5).collect();
        run(outliving(&registry, &words))
    };
    check_whole(&registry, "outliving", stream);
}

#[test]
fn a_stream_is_send_and_unpin_where_it_was() {
    #[instrumented_endpoint(scope = scope)]
    async fn bounded(scope: &Scope) -> impl Stream<Item = u8> + Send + Sync + Unpin + use<> {
        stream::iter(0..5)
    }

    #[instrumented_endpoint(scope = scope)]
    async fn local(scope: &Scope) -> LocalBoxStream<'static, u8> {
        let counted = std::rc::Rc::new(5);
        stream::iter(0..5).map(move |item| item % *counted).boxed_local()
    }

    let registry = Registry::new();
    check_whole(&registry, "bounded", sent(run(sent(bounded(&registry)))));
    check_whole(&registry, "tokens", sent(run(sent(tokens(&registry, 5)))));
    check_whole(&registry, "local", run(local(&registry)));
}

#[test]
fn a_stream_may_need_to_be_pinned() {
    #[instrumented_endpoint(scope = scope)]
    async fn unfolding(scope: &Scope) -> impl Stream<Item = u8> + use<> {
        stream::unfold(0, async |at| {
            tokio::task::yield_now().await;
            (at < 5).then_some((at, at + 1))
        })
    }

    let registry = Registry::new();
    let mut stream = Box::pin(run(unfolding(&registry)));
    assert_eq!(poll_next(&mut stream), Poll::Pending);
    assert_eq!(in_flight(&registry, "unfolding"), Some(1.0));
    let mut items = Vec::new();
    loop {
        match poll_next(&mut stream) {
            Poll::Ready(Some(item)) => items.push(item),
            Poll::Ready(None) => break,
            Poll::Pending => {}
        }
    }
    assert_eq!(items, [0, 1, 2, 3, 4]);
    assert_eq!(ended(&registry, "unfolding"), "success=1");
}

#[test]
fn a_stream_says_of_its_length_what_it_said() {
    let registry = Registry::new();
    assert_eq!(run(tokens(&registry, 5)).size_hint(), (5, Some(5)));
    assert_eq!(run(boxed(&registry, 5)).size_hint(), (5, Some(5)));
}

#[test]
fn a_panic_in_a_stream_is_the_end_of_its_run() {
    #[instrumented_endpoint(scope = scope)]
    async fn panicking(scope: &Scope) -> BoxStream<'static, u8> {
        stream::iter([1, 0]).map(|item| item / item).boxed()
    }

    let registry = Registry::new();
    let stream = run(panicking(&registry));
    run_to_panic(stream.for_each(async |_| {}));
    assert_eq!(ended(&registry, "panicking"), "panic=1");
    assert_eq!(errors(&registry, "panicking"), "panic=1");
}

#[test]
fn a_panic_in_a_stream_that_somebody_keeps_is_a_panic_all_the_same() {
    #[instrumented_endpoint(scope = scope)]
    async fn panicking(scope: &Scope) -> BoxStream<'static, u8> {
        stream::iter([1, 0]).map(|item| item / item).boxed()
    }

    let registry = Registry::new();
    let mut stream = run(panicking(&registry));
    run_to_panic(async { while stream.next().await.is_some() {} });
    drop(stream);
    assert_eq!(ended(&registry, "panicking"), "panic=1");
}
