//! A stream of other items than the function says.

// Nothing to import.
use futures_util::stream::{self, BoxStream};

// Not measured.
async fn generate() -> BoxStream<'static, u8> {
    Box::pin(stream::iter(["a", "b"]))
}

fn main() {}
