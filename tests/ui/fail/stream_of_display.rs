//! `stream` on a function whose opaque value turns out to be none.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(stream)]
async fn generate() -> impl std::fmt::Display {
    1_u8
}

fn main() {}
