//! A stream of other items than the function says.

use dynamo_metrics::instrumented_endpoint;
use futures_util::stream::{self, Stream};

#[instrumented_endpoint(name = "generate")]
async fn generate() -> impl Stream<Item = u8> {
    stream::iter(["a", "b"])
}

fn main() {}
