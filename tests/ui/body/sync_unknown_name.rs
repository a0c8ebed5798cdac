//! A name that nothing has. The names that generated code uses are as unknown as any other.

use dynamo_metrics::instrumented_endpoint;

#[instrumented_endpoint(name = "generate")]
fn generate() -> usize {
    std::mem::size_of_val(&call)
}

fn main() {}
