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

/// # Safety
/// `at` points to a byte.
#[instrumented_endpoint]
unsafe fn read_now(at: *const u8) -> u8 {
    // SAFETY: as the caller promises.
    unsafe { *at }
}

#[instrumented_endpoint]
extern "C" fn doubled(byte: u8) -> u8 {
    byte * 2
}

fn main() {
    // SAFETY: the byte outlives the call.
    assert_eq!((unsafe { read_now(&7) }, doubled(7)), (7, 14));
    let byte = 7;
    // SAFETY: the byte outlives the future.
    drop(unsafe { read(&byte) });
}
