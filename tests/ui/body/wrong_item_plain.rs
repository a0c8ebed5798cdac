//! A stream of other items than the function says.

// Nothing to import.
use futures_util::stream::{self, Stream};

// Not measured.
async fn generate() -> impl Stream<Item = u8> {
    stream::iter(["a", "b"])
}

fn main() {}
