//! Calls for counters that are compared (GPM).

use std::ffi::{c_char, c_uint, c_void};

use crate::control::Device;
use crate::{ARGUMENT_VERSION_MISMATCH, INVALID_ARGUMENT, Return, SUCCESS, answer, set};

/// A sample: of which device, once it was taken.
struct Sample(Option<usize>);

#[repr(C)]
pub struct Support {
    version: c_uint,
    is_supported: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmQueryDeviceSupport(device: usize, at: *mut Support) -> Return {
    answer(|| {
        let support = unsafe { &mut *at };
        if support.version != 1 {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        support.is_supported = Device::whole(device)?.number("gpm")? as c_uint;
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleAlloc(at: *mut *mut c_void) -> Return {
    answer(|| unsafe { set(at, Box::into_raw(Box::new(Sample(None))).cast()) })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleFree(sample: *mut c_void) -> Return {
    drop(unsafe { Box::from_raw(sample.cast::<Sample>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleGet(device: usize, sample: *mut c_void) -> Return {
    answer(|| {
        Device::whole(device)?;
        unsafe { (*sample.cast::<Sample>()).0 = Some(device) };
        Ok(())
    })
}

#[repr(C)]
pub struct Metric {
    id: c_uint,
    outcome: Return,
    value: f64,
    names: [*const c_char; 3],
}

#[repr(C)]
pub struct Request {
    version: c_uint,
    count: c_uint,
    samples: [*mut c_void; 2],
    metrics: [Metric; 210],
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmMetricsGet(at: *mut Request) -> Return {
    answer(|| {
        let request = unsafe { &mut *at };
        let [before, now] = request.samples.map(|sample| unsafe { (*sample.cast::<Sample>()).0 });
        if request.version != 1 || before != now || request.samples[0] == request.samples[1] {
            return Err(INVALID_ARGUMENT);
        }
        let device = Device::whole(before.ok_or(INVALID_ARGUMENT)?)?;
        for metric in &mut request.metrics[..request.count as usize] {
            let value = device.text(&format!("gpm_{}", metric.id));
            match value.and_then(|text| text.parse().map_err(|_| INVALID_ARGUMENT)) {
                Ok(value) => (metric.value, metric.outcome) = (value, SUCCESS),
                Err(error) => metric.outcome = error,
            }
        }
        Ok(())
    })
}
