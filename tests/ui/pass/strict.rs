//! No lint fires for what the macros write.

#![deny(warnings, clippy::all, clippy::pedantic, unused, future_incompatible, rust_2018_idioms)]
#![deny(let_underscore_drop, single_use_lifetimes, unreachable_pub, unused_qualifications)]
#![deny(missing_debug_implementations, trivial_casts, trivial_numeric_casts, unsafe_code)]

use std::pin::Pin;

use axum::response::sse::Event;
use axum::response::{IntoResponse, Sse};
use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::registry::{Registry, Scope};
use futures_util::stream::{self, BoxStream, Stream};

#[derive(Debug, LabelValue)]
enum Tier {
    Free,
    #[label(rename = "paid-up")]
    PaidUp,
}

#[derive(Debug, LabelSet)]
struct Kind {
    tier: Tier,
    cached: bool,
}

#[instrumented_endpoint]
async fn nothing() {}

#[instrumented_endpoint(name = "value", labels(tier = tier, kind = "value"))]
async fn value(tier: Tier) -> u8 {
    match tier {
        Tier::Free => 0,
        Tier::PaidUp => 1,
    }
}

#[instrumented_endpoint(scope = scope)]
async fn result(scope: &Scope, text: &str) -> Result<u8, std::num::ParseIntError> {
    if text.is_empty() {
        return Ok(scope.is_endpoint().into());
    }
    let n: u8 = text.parse()?;
    Ok(n)
}

#[instrumented_endpoint]
async fn unit_result(text: &str) -> Result<(), std::num::ParseIntError> {
    text.parse::<u8>().map(drop)
}

#[instrumented_endpoint]
async fn never_ends() {
    loop {
        std::future::pending::<()>().await;
    }
}

#[instrumented_endpoint]
async fn panics() -> u8 {
    panic!("always")
}

#[instrumented_endpoint]
async fn tokens(count: u8) -> impl Stream<Item = u8> {
    stream::iter(0..count)
}

#[instrumented_endpoint]
async fn boxed() -> BoxStream<'static, Result<u8, ()>> {
    Box::pin(stream::iter([Ok(1)]))
}

#[instrumented_endpoint]
async fn pinned() -> Result<Pin<Box<dyn Stream<Item = u8> + Send>>, ()> {
    Ok(Box::pin(stream::iter([1])))
}

#[instrumented_endpoint]
async fn response() -> http::Response<axum::body::Body> {
    http::Response::new(axum::body::Body::empty())
}

#[instrumented_endpoint(ok_if = |value| *value > 1, help = "Counts.")]
fn plain(count: u8, mut more: u8) -> u8 {
    more += 1;
    count + more
}

#[instrumented_endpoint]
fn plain_nothing() {}

#[instrumented_endpoint(name = "one_call")]
fn one_call() {
    plain_nothing();
}

#[instrumented_endpoint(err(label = |_| Tier::Free), cancelled = "ignore")]
fn plain_result(text: &str) -> Result<u8, std::num::ParseIntError> {
    let n: u8 = text.parse()?;
    Ok(n)
}

#[instrumented_endpoint]
fn future(count: u8) -> impl Future<Output = Result<u8, u8>> {
    let count = count + 1;
    async move { if count > 1 { Ok(count) } else { Err(count) } }
}

#[instrumented_endpoint]
fn boxed_future(count: &u8) -> Pin<Box<dyn Future<Output = u8> + Send + '_>> {
    Box::pin(async move { *count })
}

#[instrumented_endpoint(stream(first = |item| *item > 0, count = |item| u32::from(*item)))]
fn plain_tokens() -> BoxStream<'static, u8> {
    Box::pin(stream::iter([1]))
}

#[instrumented_endpoint]
async fn events() -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    Sse::new(stream::iter([Ok(Event::default())]))
}

#[instrumented_endpoint]
async fn opaque() -> impl IntoResponse {
    "text"
}

#[derive(Debug)]
struct Engine {
    scope: Scope,
}

#[instrumented_endpoint(scope = self.scope, labels(cached = false))]
impl Engine {
    fn value(&self) -> &Scope {
        &self.scope
    }

    async fn next(&mut self) -> u8 {
        1
    }

    #[instrumented_endpoint(skip)]
    fn skipped() -> u8 {
        1
    }
}

fn main() {
    let mut engine = Engine { scope: Registry::new().component("engine") };
    assert!(!engine.value().is_endpoint());
    drop((engine.next(), plain_result("7"), future(1), boxed_future(&7), plain_tokens()));
    drop((events(), opaque()));
    one_call();
    assert_eq!(plain(1, 2) + Engine::skipped(), 5);
    let scope = Registry::new().endpoint("strict");
    let kind = Kind { tier: Tier::PaidUp, cached: true };
    assert_eq!(kind.values(|values| values.join(" ")), "paid-up true");
    drop((nothing(), value(Tier::Free), result(&scope, "7"), unit_result("7"), never_ends()));
    drop((panics(), tokens(3), boxed(), pinned(), response()));
}
