//! Frames of what has none.

use dynamo_metrics::instrumented_endpoint;
use futures_util::stream::{self, BoxStream, StreamExt as _};

#[instrumented_endpoint(name = "generate", stream(frames))] //~
async fn generate() -> BoxStream<'static, u8> {
    stream::iter([1]).boxed()
}

fn main() {}
