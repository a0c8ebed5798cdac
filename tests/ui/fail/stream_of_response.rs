//! `stream` on a function whose opaque value turns out to be none.

use axum::response::IntoResponse;
use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(stream)] //~
async fn generate() -> impl IntoResponse {
    "text"
}

fn main() {}
