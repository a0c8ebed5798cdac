//! Calls for what is counted of a device: errors, pages, violations, fields, processes.

use std::ffi::{c_int, c_longlong, c_uint, c_ulonglong};

use crate::control::Device;
use crate::{INSUFFICIENT_SIZE, INVALID_ARGUMENT, Return, SUCCESS, answer, set};

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: usize,
    error: c_uint,
    lifetime: c_uint,
    at: *mut c_ulonglong,
) -> Return {
    answer(|| {
        let error = if error == 0 { "corrected" } else { "uncorrected" };
        let lifetime = if lifetime == 0 { "volatile" } else { "aggregate" };
        let value = Device::whole(device)?.number(&format!("ecc_{error}_{lifetime}"))?;
        unsafe { set(at, value) }
    })
}

unsafe fn retired(device: usize, cause: c_uint, count: *mut c_uint) -> Return {
    answer(|| {
        let key = if cause == 0 { "retired_single" } else { "retired_double" };
        let pages = Device::whole(device)?.number(key)? as c_uint;
        let room = unsafe { *count };
        unsafe { set(count, pages)? };
        if room < pages { Err(INSUFFICIENT_SIZE) } else { Ok(()) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRetiredPages(
    device: usize,
    cause: c_uint,
    count: *mut c_uint,
    _: *mut c_ulonglong,
) -> Return {
    unsafe { retired(device, cause, count) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRetiredPages_v2(
    device: usize,
    cause: c_uint,
    count: *mut c_uint,
    _: *mut c_ulonglong,
    _: *mut c_ulonglong,
) -> Return {
    unsafe { retired(device, cause, count) }
}

#[repr(C)]
pub struct ViolationTime {
    reference: c_ulonglong,
    violation: c_ulonglong,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetViolationStatus(
    device: usize,
    policy: c_uint,
    at: *mut ViolationTime,
) -> Return {
    answer(|| {
        let names =
            ["power", "thermal", "sync_boost", "board_limit", "low_utilization", "reliability"];
        let name = names.get(policy as usize).ok_or(INVALID_ARGUMENT)?;
        let violation = Device::whole(device)?.number(&format!("violation_{name}"))?;
        unsafe { set(at, ViolationTime { reference: 1, violation }) }
    })
}

#[repr(C)]
pub struct FieldValue {
    field: c_uint,
    scope: c_uint,
    timestamp: c_longlong,
    latency: c_longlong,
    value_type: c_uint,
    outcome: Return,
    value: c_ulonglong,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: usize,
    count: c_int,
    fields: *mut FieldValue,
) -> Return {
    answer(|| {
        let device = Device::whole(device)?;
        for i in 0..count {
            let field = unsafe { &mut *fields.add(i as usize) };
            let (key, value_type) = match field.field {
                82 => ("memory_temperature", 1),
                142 => ("remapped_corrected", 1),
                143 => ("remapped_uncorrected", 1),
                145 => ("remapping_failed", 1),
                197 => ("pcie_sent", 3),
                198 => ("pcie_received", 3),
                _ => ("unknown", 0),
            };
            match device.number(key) {
                Ok(value) => {
                    (field.value_type, field.value, field.outcome) = (value_type, value, SUCCESS)
                }
                Err(error) => field.outcome = error,
            }
        }
        Ok(())
    })
}

#[repr(C)]
pub struct ProcessInfo {
    pid: c_uint,
    used: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

unsafe fn processes(device: usize, key: &str, count: *mut c_uint, at: *mut ProcessInfo) -> Return {
    answer(|| {
        let text = Device::whole(device)?.text(key)?;
        let all: Vec<(c_uint, c_ulonglong)> = text
            .split(',')
            .filter_map(|pair| {
                let (pid, memory) = pair.split_once(':')?;
                Some((pid.parse().ok()?, memory.parse().ok()?))
            })
            .collect();
        let room = unsafe { *count } as usize;
        unsafe { set(count, all.len() as c_uint)? };
        if all.len() > room {
            return Err(INSUFFICIENT_SIZE);
        }
        for (i, (pid, used)) in all.into_iter().enumerate() {
            let info =
                ProcessInfo { pid, used, gpu_instance: c_uint::MAX, compute_instance: c_uint::MAX };
            unsafe { at.add(i).write(info) };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: usize,
    count: *mut c_uint,
    at: *mut ProcessInfo,
) -> Return {
    unsafe { processes(device, "compute", count, at) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: usize,
    count: *mut c_uint,
    at: *mut ProcessInfo,
) -> Return {
    unsafe { processes(device, "graphics", count, at) }
}
