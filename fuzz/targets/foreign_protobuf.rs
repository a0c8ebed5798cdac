#![no_main]
//! Reads the bytes as a page, and checks what is let through.

mod checked;

use dynamo_metrics::foreign::Format;

libfuzzer_sys::fuzz_target!(|page: &[u8]| checked::parse(page, Format::Protobuf));
