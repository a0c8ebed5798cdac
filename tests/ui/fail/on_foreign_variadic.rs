//! The attribute on one that takes any number of arguments.

use dynamo_metrics::instrumented_endpoint;

unsafe extern "C" {
    #[instrumented_endpoint]
    pub fn printf(format: *const std::ffi::c_char, ...) -> std::ffi::c_int; //~
}

fn main() {}
