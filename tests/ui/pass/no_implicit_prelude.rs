//! Nothing is in scope that the caller did not bring there.

#![no_implicit_prelude]
#![deny(warnings)]

use ::dynamo_metrics::instrumented_endpoint;
use ::dynamo_metrics::label::{LabelSet, LabelValue};
use ::futures_util::stream::{BoxStream, Stream, iter};
use ::std::boxed::Box;
use ::std::result::Result;

#[derive(LabelValue)]
enum Tier {
    Free,
}

#[derive(LabelSet)]
struct Kind {
    tier: Tier,
}

#[instrumented_endpoint(name = "value", labels(tier = Tier::Free, kind = "x"))]
async fn value() -> u8 {
    1
}

#[instrumented_endpoint]
async fn nothing() {}

#[instrumented_endpoint]
async fn result() -> Result<u8, u8> {
    Result::Ok(1)
}

#[instrumented_endpoint]
async fn tokens() -> impl Stream<Item = u8> {
    iter([1])
}

#[instrumented_endpoint]
async fn boxed() -> Result<BoxStream<'static, Result<u8, u8>>, u8> {
    Result::Ok(Box::pin(iter([Result::Ok(1)])))
}

#[instrumented_endpoint(buckets = [1, 2], cancelled = "error", in_flight = false, help = "x")]
fn plain() -> Result<u8, u8> {
    Result::Ok(1)
}

#[instrumented_endpoint(ok_if = Result::is_ok)]
fn future() -> impl ::std::future::Future<Output = Result<u8, u8>> {
    ::std::future::ready(Result::Ok(1))
}

struct Engine;

#[instrumented_endpoint]
impl Engine {
    fn value(&self) -> u8 {
        1
    }
}

fn main() {
    ::std::mem::drop((plain(), future(), Engine.value()));
    ::std::mem::drop((value(), nothing(), result(), tokens(), boxed(), Kind { tier: Tier::Free }.tier));
}
