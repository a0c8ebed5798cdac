//! A stream of other items than the function says.

use dynamo_metrics::instrumented_endpoint;
use futures_util::stream::{self, BoxStream};

#[instrumented_endpoint(name = "generate")]
async fn generate() -> BoxStream<'static, u8> {
    Box::pin(stream::iter(["a", "b"]))
}

fn main() {}
