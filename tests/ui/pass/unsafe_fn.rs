//! An unsafe function stays one, and its body may do what it could do before.

#![deny(warnings)]
#![allow(unsafe_code)]

use dynamo_metrics::instrumented_endpoint;

/// # Safety
/// `at` points to a byte.
#[instrumented_endpoint]
async unsafe fn read(at: *const u8) -> u8 {
    // SAFETY: as the caller promises.
    unsafe { *at }
}

fn main() {
    let byte = 7;
    // SAFETY: the byte outlives the future.
    drop(unsafe { read(&byte) });
}
