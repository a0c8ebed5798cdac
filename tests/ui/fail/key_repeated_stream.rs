//! `stream` that is given twice.

use dynamo_metrics::instrumented_endpoint;
use futures_util::stream::{self, Stream};

#[instrumented_endpoint(stream, stream(items))] //~
async fn generate() -> impl Stream<Item = u8> {
    stream::iter([1])
}

fn main() {}
