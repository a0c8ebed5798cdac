//! Functions that return a value: how a run ends, and how long it took.

use std::io;
use std::num::ParseIntError;
use std::pin::pin;
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::registry::Registry;

use super::{ended, errors, in_flight, page, poll, run, run_to_panic, sum};

/// A `Result` that is not called one.
type Reply<T> = Result<T, ParseIntError>;

/// An alias that hides the `Result` altogether.
type Count = io::Result<usize>;

#[test]
fn a_question_mark_ends_a_run_as_an_error() {
    #[instrumented_endpoint(scope = registry)]
    async fn parse(registry: &Registry, text: &str) -> Result<u8, ParseIntError> {
        let n: u8 = text.parse()?;
        assert!(!registry.is_endpoint());
        Ok(n)
    }

    let registry = Registry::new();
    assert_eq!(run(parse(&registry, "7")), Ok(7));
    assert!(run(parse(&registry, "seven")).is_err());
    assert!(run(parse(&registry, "")).is_err());
    assert_eq!(ended(&registry, "parse"), "server_error=2 success=1");
    assert_eq!(errors(&registry, "parse"), "generate=2");
}

#[test]
fn an_early_return_ends_a_run_as_what_it_returns() {
    #[instrumented_endpoint(scope = registry)]
    async fn early(registry: &Registry, ok: bool) -> Result<u8, u8> {
        if !ok {
            return Err(7);
        }
        if !registry.is_endpoint() {
            return Ok(1);
        }
        Err(8)
    }

    let registry = Registry::new();
    assert_eq!(run(early(&registry, true)), Ok(1));
    assert_eq!(run(early(&registry, false)), Err(7));
    assert_eq!(ended(&registry, "early"), "server_error=1 success=1");
}

#[test]
fn a_return_in_a_loop_ends_a_run_once() {
    #[instrumented_endpoint(scope = registry)]
    async fn search(registry: &Registry, words: &[&str]) -> Result<usize, ()> {
        for (at, word) in words.iter().enumerate() {
            match *word {
                "stop" => return Ok(at),
                "fail" => return Err(()),
                _ => {}
            }
        }
        Err(())
    }

    let registry = Registry::new();
    assert_eq!(run(search(&registry, &["a", "b", "stop", "stop"])), Ok(2));
    assert_eq!(run(search(&registry, &["a", "fail", "stop"])), Err(()));
    assert_eq!(run(search(&registry, &["a"])), Err(()));
    assert_eq!(ended(&registry, "search"), "server_error=2 success=1");
}

#[test]
fn the_last_expression_ends_a_run_as_what_it_is() {
    #[instrumented_endpoint(scope = registry)]
    async fn tail(registry: &Registry, text: &str) -> Result<u8, ParseIntError> {
        text.parse()
    }

    let registry = Registry::new();
    assert_eq!(run(tail(&registry, "7")), Ok(7));
    assert!(run(tail(&registry, "seven")).is_err());
    assert_eq!(ended(&registry, "tail"), "server_error=1 success=1");
}

#[test]
fn a_result_by_another_name_is_a_result() {
    #[instrumented_endpoint(scope = registry)]
    async fn aliased(registry: &Registry, text: &str) -> Reply<u8> {
        text.parse()
    }

    #[instrumented_endpoint(scope = registry)]
    async fn of_io(registry: &Registry, text: &str) -> io::Result<u8> {
        text.parse().map_err(io::Error::other)
    }

    #[instrumented_endpoint(scope = registry)]
    async fn hidden(registry: &Registry, text: &str) -> Count {
        text.parse().map_err(io::Error::other)
    }

    let registry = Registry::new();
    for text in ["7", "seven"] {
        let _ = run(aliased(&registry, text));
        let _ = run(of_io(&registry, text));
        let _ = run(hidden(&registry, text));
    }
    for endpoint in ["aliased", "of_io", "hidden"] {
        assert_eq!(ended(&registry, endpoint), "server_error=1 success=1", "{endpoint}");
    }
}

#[test]
fn a_result_in_a_generic_or_opaque_type_is_a_result() {
    #[instrumented_endpoint(scope = registry)]
    async fn generic<T, E>(registry: &Registry, result: Result<T, E>) -> Result<T, E> {
        result
    }

    #[instrumented_endpoint(scope = registry)]
    async fn opaque(registry: &Registry, ok: bool) -> Result<impl ToString, impl ToString> {
        if ok {
            return Ok(7);
        }
        Err("no")
    }

    let registry = Registry::new();
    assert_eq!(run(generic::<u8, ()>(&registry, Ok(7))), Ok(7));
    assert_eq!(run(generic::<(), &str>(&registry, Err("no"))), Err("no"));
    assert!(run(opaque(&registry, true)).is_ok_and(|value| value.to_string() == "7"));
    assert!(run(opaque(&registry, false)).is_err_and(|value| value.to_string() == "no"));
    assert_eq!(ended(&registry, "generic"), "server_error=1 success=1");
    assert_eq!(ended(&registry, "opaque"), "server_error=1 success=1");
}

#[test]
fn any_other_value_is_a_success() {
    #[instrumented_endpoint(scope = registry)]
    async fn number(registry: &Registry) -> u8 {
        7
    }

    #[instrumented_endpoint(scope = registry)]
    async fn absent(registry: &Registry) -> Option<u8> {
        None
    }

    #[instrumented_endpoint(scope = registry)]
    async fn borrowed<'a>(registry: &Registry, text: &'a str) -> &'a str {
        text.trim()
    }

    #[instrumented_endpoint(scope = registry)]
    async fn unknown<T>(registry: &Registry, value: T) -> T {
        value
    }

    let registry = Registry::new();
    assert_eq!(run(number(&registry)), 7);
    assert_eq!(run(absent(&registry)), None);
    assert_eq!(run(borrowed(&registry, " x ")), "x");
    assert_eq!(run(unknown(&registry, "it")), "it");
    for endpoint in ["number", "absent", "borrowed", "unknown"] {
        assert_eq!(ended(&registry, endpoint), "success=1", "{endpoint}");
        assert_eq!(errors(&registry, endpoint), "", "{endpoint}");
    }
}

#[test]
fn a_function_that_returns_nothing_is_a_success_at_its_end() {
    #[instrumented_endpoint(scope = registry)]
    async fn nothing(registry: &Registry, early: bool, seen: &mut u8) {
        if early {
            return;
        }
        *seen += 1;
    }

    let (registry, mut seen) = (Registry::new(), 0);
    run(nothing(&registry, true, &mut seen));
    run(nothing(&registry, false, &mut seen));
    assert_eq!(seen, 1);
    assert_eq!(ended(&registry, "nothing"), "success=2");
}

#[test]
fn a_run_lasts_from_its_first_poll_to_its_end() {
    #[instrumented_endpoint(scope = registry)]
    async fn slow(registry: &Registry, time: &Manual, ok: bool) -> Result<(), ()> {
        time.advance(Duration::from_millis(1_500));
        tokio::task::yield_now().await;
        ok.then_some(()).ok_or(())
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        for ok in [true, false] {
            let mut run = pin!(slow(&registry, &time, ok));
            // Nobody has asked for it yet.
            time.advance(Duration::from_secs(100));
            assert!(poll(run.as_mut()).is_pending());
            time.advance(Duration::from_millis(500));
            assert!(poll(run.as_mut()).is_ready());
            time.advance(Duration::from_secs(100));
        }
    });
    assert_eq!(sum(&registry, "slow", "request_duration_seconds_sum"), Some(4.0));
    assert_eq!(ended(&registry, "slow"), "server_error=1 success=1");
}

#[test]
fn a_run_is_in_flight_while_it_waits() {
    #[instrumented_endpoint(scope = registry)]
    async fn waits(registry: &Registry) {
        tokio::task::yield_now().await;
    }

    let registry = Registry::new();
    let (mut first, mut second) = (pin!(waits(&registry)), pin!(waits(&registry)));
    assert!(poll(first.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "waits"), Some(1.0));
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "waits"), Some(2.0));
    assert_eq!(sum(&registry, "waits", "requests_total"), Some(0.0));
    assert!(poll(first.as_mut()).is_ready());
    assert_eq!(in_flight(&registry, "waits"), Some(1.0));
    assert!(poll(second.as_mut()).is_ready());
    assert_eq!(ended(&registry, "waits"), "success=2");
}

#[test]
fn a_run_that_is_dropped_while_it_waits_was_cancelled() {
    #[instrumented_endpoint(scope = registry)]
    async fn waits(registry: &Registry) -> Result<(), ()> {
        std::future::pending::<()>().await;
        Err(())
    }

    let (registry, time) = (Registry::new(), Manual::new());
    time.run(|| {
        let mut waiting = Box::pin(waits(&registry));
        assert!(poll(waiting.as_mut()).is_pending());
        time.advance(Duration::from_secs(2));
        assert_eq!(in_flight(&registry, "waits"), Some(1.0));
        drop(waiting);
    });
    assert_eq!(ended(&registry, "waits"), "cancelled=1");
    assert_eq!(errors(&registry, "waits"), "");
    assert_eq!(sum(&registry, "waits", "cancellation_total"), Some(1.0));
    assert_eq!(sum(&registry, "waits", "request_duration_seconds_sum"), Some(2.0));
}

#[test]
fn a_future_that_is_never_polled_counts_nothing() {
    #[instrumented_endpoint(scope = registry)]
    async fn unasked(registry: &Registry) {
        assert!(registry.is_endpoint(), "nobody runs this");
    }

    let registry = Registry::new();
    drop(unasked(&registry));
    assert_eq!(page(&registry).samples(), []);
}

#[test]
fn a_panic_ends_a_run_and_goes_on() {
    #[instrumented_endpoint(scope = registry)]
    async fn panics(registry: &Registry, wait: bool) -> Result<u8, ()> {
        if wait {
            tokio::task::yield_now().await;
        }
        panic!("as it is meant to");
    }

    let registry = Registry::new();
    run_to_panic(panics(&registry, false));
    let mut waiting = Box::pin(panics(&registry, true));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&registry, "panics"), Some(1.0));
    run_to_panic(waiting);
    assert_eq!(ended(&registry, "panics"), "panic=2");
    assert_eq!(errors(&registry, "panics"), "panic=2");
}

#[test]
fn a_panic_that_is_caught_within_a_run_is_not_its_end() {
    #[instrumented_endpoint(scope = registry)]
    async fn catches(registry: &Registry) -> bool {
        std::panic::catch_unwind(|| panic!("as it is meant to")).is_err()
    }

    let registry = Registry::new();
    assert!(run(catches(&registry)));
    assert_eq!(ended(&registry, "catches"), "success=1");
}

#[test]
fn a_run_within_a_run_is_a_run_of_its_own() {
    #[instrumented_endpoint(scope = registry)]
    async fn outer(registry: &Registry) -> Result<(), ()> {
        inner(registry, true).await.unwrap();
        inner(registry, false).await
    }

    #[instrumented_endpoint(scope = registry)]
    async fn inner(registry: &Registry, ok: bool) -> Result<(), ()> {
        ok.then_some(()).ok_or(())
    }

    let registry = Registry::new();
    assert_eq!(run(outer(&registry)), Err(()));
    assert_eq!(ended(&registry, "outer"), "server_error=1");
    assert_eq!(ended(&registry, "inner"), "server_error=1 success=1");
}

#[test]
fn each_run_of_a_recursion_is_counted() {
    #[instrumented_endpoint(scope = registry)]
    async fn count_down(registry: &Registry, from: u8) -> u8 {
        match from {
            0 => 0,
            _ => 1 + Box::pin(count_down(registry, from - 1)).await,
        }
    }

    let registry = Registry::new();
    assert_eq!(run(count_down(&registry, 3)), 3);
    assert_eq!(ended(&registry, "count_down"), "success=4");
}
