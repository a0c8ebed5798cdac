//! `#[instrumented_endpoint]`: what it counts, of functions of every form.
//!
//! | file | holds |
//! |---|---|
//! | `calls` | `async` functions that return a value: how a run ends, and how long it took |
//! | `plain` | the same of functions that are not `async` |
//! | `futures` | functions that return a future |
//! | `signatures` | what a function may look like |
//! | `blocks` | whole impl blocks |
//! | `streams` | functions that return a stream |
//! | `units` | what the items of a stream are, where it is told |
//! | `responses` | functions that return an HTTP response |
//! | `answers` | functions that return what is made into one |
//! | `arguments` | what arguments say of a run's end, and of what is counted |
//! | `places` | where runs are counted: scopes and labels |
//! | `layers` | the attribute within the layer |
//! | `beside` | the attribute beside others |
//! | `surroundings` | the attribute within tests, tasks and registries that are at odds with it |

mod answers;
mod arguments;
mod beside;
mod blocks;
mod calls;
mod futures;
mod layers;
mod places;
mod plain;
mod responses;
mod signatures;
mod streams;
mod surroundings;
mod units;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use futures_util::{FutureExt as _, Stream};

/// Runs a future that waits for nothing.
fn run<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("it waits for nothing")
}

/// Runs a future that panics.
fn run_to_panic<F: Future>(future: F) {
    assert!(catch_unwind(AssertUnwindSafe(|| future.now_or_never())).is_err(), "it panics");
}

/// Polls a future once.
fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a stream once.
fn poll_next<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    Pin::new(stream).poll_next(&mut Context::from_waker(Waker::noop()))
}

/// `value`, if it can be sent to another thread.
fn sent<T: Send>(value: T) -> T {
    value
}

fn page(registry: &Registry) -> Page {
    Page::read(&encode::text(registry))
}

/// The sum of a metric of an endpoint, named without its prefix; `None` if it is not there.
fn sum(registry: &Registry, endpoint: &str, metric: &str) -> Option<f64> {
    let name = format!("dynamo_component_{metric}");
    page(registry).sum(&name, &[("dynamo_endpoint", endpoint)])
}

fn in_flight(registry: &Registry, endpoint: &str) -> Option<f64> {
    sum(registry, endpoint, "inflight_requests")
}

/// What is not zero in a metric that has one label more, as `value=count`, in order.
fn by_label(registry: &Registry, endpoint: &str, metric: &str, label: &str) -> String {
    let name = format!("dynamo_component_{metric}");
    let mut counts: Vec<String> = page(registry)
        .samples()
        .iter()
        .filter(|sample| sample.name == name && sample.value != 0.0)
        .filter(|sample| sample.labels.get("dynamo_endpoint").is_some_and(|it| it == endpoint))
        .map(|sample| format!("{}={}", sample.labels[label], sample.value))
        .collect();
    counts.sort();
    counts.join(" ")
}

/// The outcomes of an endpoint with nothing in flight, whose sums agree with each other.
#[track_caller]
fn ended(registry: &Registry, endpoint: &str) -> String {
    let get = |metric| sum(registry, endpoint, metric);
    let total = get("requests_total");
    assert!(total.is_some(), "{endpoint} is not on the page: {}", encode::text(registry));
    assert_eq!(get("inflight_requests"), Some(0.0), "in flight");
    assert_eq!(get("requests_started_total"), total, "started");
    assert_eq!(get("request_outcomes_total"), total, "by outcome");
    assert_eq!(get("request_duration_seconds_count"), total, "timed");
    by_label(registry, endpoint, "request_outcomes_total", "outcome")
}

fn errors(registry: &Registry, endpoint: &str) -> String {
    by_label(registry, endpoint, "errors_total", "error_type")
}
