//! Calls for the parts of a GPU.

use std::ffi::c_uint;

use crate::control::Device;
use crate::{INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, Return, answer, set};

/// Parts of a GPU with MIG: profile, number of the GPU instance, memory, used memory.
pub(crate) const PARTS: [(&str, c_uint, u64, u64); 2] =
    [("3g.71gb", 1, 75_000_000_000, 5_368_709_120), ("1g.18gb", 7, 18_000_000_000, 268_435_456)];

/// Where a part may be, and is none.
const MOST_PARTS: c_uint = 7;

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: usize,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> Return {
    answer(|| {
        let on = match Device::whole(device)?.text("mig")?.as_str() {
            "unsupported" => return Err(NOT_SUPPORTED),
            mode => c_uint::from(mode == "on"),
        };
        unsafe {
            set(current, on)?;
            set(pending, on)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: usize, at: *mut c_uint) -> Return {
    answer(|| {
        Device::whole(device)?;
        unsafe { set(at, MOST_PARTS) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: usize,
    index: c_uint,
    at: *mut usize,
) -> Return {
    answer(|| {
        Device::whole(device)?;
        if index >= MOST_PARTS {
            return Err(INVALID_ARGUMENT);
        }
        // Between the parts there is room for others.
        let part = match index {
            0 => 0,
            3 => 1,
            _ => return Err(NOT_FOUND),
        };
        unsafe { set(at, device + 1 + part) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(device: usize, at: *mut c_uint) -> Return {
    answer(|| {
        let part = Device::of(device)?.part.ok_or(INVALID_ARGUMENT)?;
        unsafe { set(at, PARTS[part].1) }
    })
}
