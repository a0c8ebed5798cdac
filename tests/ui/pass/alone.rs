//! Nothing of the crate is imported, not even the attribute.

#[::dynamo_metrics::instrumented_endpoint]
async fn generate() -> Result<u8, ()> {
    Ok(1)
}

fn main() {
    drop(generate());
}
