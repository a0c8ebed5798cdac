//! A function that looks at other items.

use dynamo_metrics::instrumented_endpoint;
use futures_util::stream::{self, BoxStream, StreamExt as _};

#[instrumented_endpoint(name = "generate", stream(first = |item: &String| item.is_empty()))] //~
async fn generate() -> BoxStream<'static, u8> {
    stream::iter([1]).boxed()
}

fn main() {}
