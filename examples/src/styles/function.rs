//! The attribute on a function: two lines, and each call is counted, timed, and told apart by how it
//! ended.
//!
//! `cargo run --bin style-function`

use std::num::ParseIntError;

use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics::{encode, instrumented_endpoint};
use dynamo_metrics_examples::say;

/// Adds two numbers that come as text.
#[instrumented_endpoint(scope = backend)]
async fn add(backend: &Scope, a: &str, b: &str) -> Result<i64, ParseIntError> {
    Ok(a.parse::<i64>()? + b.parse::<i64>()?)
}

#[tokio::main]
async fn main() {
    let registry = Registry::new();
    let backend = registry.namespace("example").component("calculator");
    for (a, b) in [("1", "2"), ("20", "22"), ("one", "two")] {
        match add(&backend, a, b).await {
            Ok(sum) => say(&format!("{a} + {b} = {sum}\n")),
            Err(error) => say(&format!("{a} + {b}: {error}\n")),
        }
    }
    say(&encode::text(&registry));
}
