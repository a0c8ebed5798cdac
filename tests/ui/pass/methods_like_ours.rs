//! Traits that give every type methods, which are named as those that generated code calls.

#![deny(warnings)]

use dynamo_metrics::instrumented_endpoint;
use dynamo_metrics::label::LabelValue;
use futures_util::stream::{self, Stream};

trait Described {
    fn kind(&self) -> &'static str {
        "something"
    }

    fn finish(&self) -> &'static str {
        "finished"
    }

    fn is_error(&self) -> bool {
        false
    }

    fn as_label(&self) -> u8 {
        7
    }
}

impl<T: ?Sized> Described for T {}

#[derive(LabelValue)]
enum Tier {
    Free,
}

#[instrumented_endpoint(labels(tier = Tier::Free))]
async fn value() -> u8 {
    7
}

#[instrumented_endpoint]
async fn result() -> Result<u8, u8> {
    Ok(7)
}

#[instrumented_endpoint]
async fn tokens() -> impl Stream<Item = Result<u8, u8>> {
    stream::iter([Ok(7)])
}

fn main() {
    drop((value(), result(), tokens()));
    assert_eq!((7.kind(), 7.finish(), 7.is_error(), 7.as_label()), ("something", "finished", false, 7));
}
