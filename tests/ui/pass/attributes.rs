//! What stands on a function stays there: visibility, documentation, other attributes.

#![deny(warnings, missing_docs)]

use dynamo_metrics::instrumented_endpoint;

/// A public module.
pub mod public {
    use dynamo_metrics::instrumented_endpoint;

    /// Documented above the attribute.
    #[must_use]
    #[instrumented_endpoint]
    #[inline]
    /// And below it.
    pub async fn generate() -> u8 {
        1
    }
}

#[instrumented_endpoint]
#[cfg(any())]
async fn not_there() -> Missing {}

#[allow(unused_variables)]
#[instrumented_endpoint]
async fn lax(unused: u8) {
    let also_unused = 1;
}

#[instrumented_endpoint]
#[expect(unused_variables)]
async fn expecting(unused: u8) {}

fn main() {
    drop((public::generate(), lax(1), expecting(1)));
}
