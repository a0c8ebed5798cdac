//! A function that looks at items of a body.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate", stream(sse, first = |_| true))] //~
async fn generate() -> http::Response<axum::body::Body> {
    http::Response::default()
}

fn main() {}
