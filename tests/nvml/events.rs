//! Calls for events.

use std::ffi::{c_uint, c_ulonglong, c_void};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::control::{Control, Device, FIRST, STEP};
use crate::{INVALID_ARGUMENT, Return, SUCCESS, TIMEOUT, UNKNOWN, answer, set};

/// A set of events: of which GPU it hears, and how many it has told.
struct Events {
    gpu: Option<usize>,
    told: usize,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(at: *mut *mut c_void) -> Return {
    answer(|| unsafe { set(at, Box::into_raw(Box::new(Events { gpu: None, told: 0 })).cast()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetFree(events: *mut c_void) -> Return {
    drop(unsafe { Box::from_raw(events.cast::<Events>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetSupportedEventTypes(
    device: usize,
    at: *mut c_ulonglong,
) -> Return {
    answer(|| {
        Device::whole(device)?;
        unsafe { set(at, 0x1F) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceRegisterEvents(
    device: usize,
    _: c_ulonglong,
    events: *mut c_void,
) -> Return {
    answer(|| {
        let device = Device::whole(device)?;
        if device.text("events")? != "whole" {
            return Err(UNKNOWN);
        }
        let gpu = device.gpu;
        unsafe { (*events.cast::<Events>()).gpu = Some(gpu) };
        Ok(())
    })
}

#[repr(C)]
pub struct EventData {
    device: usize,
    event_type: c_ulonglong,
    data: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    events: *mut c_void,
    at: *mut EventData,
    timeout: c_uint,
) -> Return {
    answer(|| {
        let events = unsafe { &mut *events.cast::<Events>() };
        let gpu = events.gpu.ok_or(INVALID_ARGUMENT)?;
        let end = Instant::now() + Duration::from_millis(timeout.into());
        loop {
            let control = Control::read();
            let xids = control.0.get(&format!("{gpu}.xid"));
            if let Some(xid) = xids.and_then(|xids| xids.get(events.told)) {
                events.told += 1;
                let data = xid.parse().map_err(|_| UNKNOWN)?;
                let none = c_uint::MAX;
                let device = FIRST + gpu * STEP;
                let event = EventData {
                    device,
                    event_type: 8,
                    data,
                    gpu_instance: none,
                    compute_instance: none,
                };
                return unsafe { set(at, event) };
            }
            if Instant::now() >= end {
                return Err(TIMEOUT);
            }
            sleep(Duration::from_millis(5));
        }
    })
}
