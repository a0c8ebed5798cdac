//! A library that answers NVML's calls, so that what asks them runs where there is no GPU.
//!
//! It has the symbols, the structures and the return values of `nvml.h`, as far as the collector asks.
//! The file `control` beside it says how it answers; it is read again at each call:
//!
//! ```text
//! library absent          nvmlInit fails: the driver is not loaded
//! gpus 3                  so many GPUs (default: 2)
//! 0.state lost            GPU 0 fell off the bus
//! 0.state failing         each call of GPU 0 fails
//! 0.state hanging         each call of GPU 0 hangs, for as long as this stands here
//! 0.utilization 37        another value (see `DEFAULTS`; `none` for one that it does not support)
//! 1.mig on                GPU 1 has parts
//! 1.events broken         nobody can wait for events of GPU 1
//! 1.xid 79                an XID of GPU 1, reported once for each number of times it is written
//! ```
//!
//! It tells in turn: the file `loaded` is there for as long as somebody uses it, and `hanging` has a line
//! for each call that hung.
//!
//! Built by the tests: `rustc --crate-type cdylib`.

#![allow(non_snake_case, clippy::missing_safety_doc)]

mod control;
mod counts;
mod events;
mod parts;
mod profile;
mod values;

use std::ffi::{c_char, c_uint};
use std::sync::atomic::{AtomicUsize, Ordering};

use control::{Control, Device, FIRST, STEP};

pub(crate) type Return = c_uint;

pub(crate) const SUCCESS: Return = 0;
pub(crate) const UNINITIALIZED: Return = 1;
pub(crate) const INVALID_ARGUMENT: Return = 2;
pub(crate) const NOT_SUPPORTED: Return = 3;
pub(crate) const NOT_FOUND: Return = 6;
pub(crate) const INSUFFICIENT_SIZE: Return = 7;
pub(crate) const DRIVER_NOT_LOADED: Return = 9;
pub(crate) const TIMEOUT: Return = 10;
pub(crate) const GPU_IS_LOST: Return = 15;
pub(crate) const ARGUMENT_VERSION_MISMATCH: Return = 25;
pub(crate) const UNKNOWN: Return = 999;

/// How often the library was initialised, and not shut down since.
static INITIALISED: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn answer(body: impl FnOnce() -> Result<(), Return>) -> Return {
    body().err().unwrap_or(SUCCESS)
}

/// Writes a value where the caller wants it.
pub(crate) unsafe fn set<T>(at: *mut T, value: T) -> Result<(), Return> {
    if at.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    unsafe { at.write(value) };
    Ok(())
}

/// Writes a text where the caller wants it, if there is room.
pub(crate) unsafe fn set_text(at: *mut c_char, room: c_uint, text: &str) -> Result<(), Return> {
    if text.len() >= room as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    for (i, byte) in text.bytes().chain([0]).enumerate() {
        unsafe { at.add(i).write(byte as c_char) };
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Return {
    if Control::read().last("library") == Some("absent") {
        return DRIVER_NOT_LOADED;
    }
    INITIALISED.fetch_add(1, Ordering::SeqCst);
    // So that others see whether it is in use.
    let _ = std::fs::write(control::folder().join("loaded"), "");
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Return {
    if INITIALISED.fetch_sub(1, Ordering::SeqCst) == 1 {
        let _ = std::fs::remove_file(control::folder().join("loaded"));
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(at: *mut c_char, room: c_uint) -> Return {
    answer(|| unsafe { set_text(at, room, "570.124.06") })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(at: *mut c_uint) -> Return {
    answer(|| unsafe { set(at, Control::read().gpus() as c_uint) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, at: *mut usize) -> Return {
    answer(|| {
        if index as usize >= Control::read().gpus() {
            return Err(INVALID_ARGUMENT);
        }
        let handle = FIRST + index as usize * STEP;
        Device::of(handle)?;
        unsafe { set(at, handle) }
    })
}
