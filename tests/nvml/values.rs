//! Calls for one value of a device.

use std::ffi::{c_char, c_uint, c_ulonglong};
use std::thread::sleep;
use std::time::Duration;

use crate::control::Device;
use crate::parts::PARTS;
use crate::{ARGUMENT_VERSION_MISMATCH, INVALID_ARGUMENT, Return, answer, set, set_text};

/// Calls that write one number of a whole GPU.
macro_rules! numbers {
    ($($call:ident = $key:literal: $type:ty;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $call(device: usize, at: *mut $type) -> Return {
            answer(|| {
                let value = Device::whole(device)?.number($key)?;
                unsafe { set(at, value as $type) }
            })
        }
    )*};
}

numbers! {
    nvmlDeviceGetPowerUsage = "power": c_uint;
    nvmlDeviceGetEnforcedPowerLimit = "power_limit": c_uint;
    nvmlDeviceGetTotalEnergyConsumption = "energy": c_ulonglong;
    nvmlDeviceGetPcieReplayCounter = "replays": c_uint;
    nvmlDeviceGetCurrPcieLinkGeneration = "pcie_generation": c_uint;
    nvmlDeviceGetCurrPcieLinkWidth = "pcie_width": c_uint;
    nvmlDeviceGetCurrentClocksThrottleReasons = "throttle": c_ulonglong;
    nvmlDeviceGetRetiredPagesPendingStatus = "retirement_pending": c_uint;
}

/// Calls that write one text.
macro_rules! texts {
    ($($call:ident = $text:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $call(device: usize, at: *mut c_char, room: c_uint) -> Return {
            answer(|| {
                let device = Device::of(device)?;
                let text: fn(&Device) -> Result<String, Return> = $text;
                unsafe { set_text(at, room, &text(&device)?) }
            })
        }
    )*};
}

texts! {
    nvmlDeviceGetUUID = |device: &Device| Ok(device.uuid());
    nvmlDeviceGetSerial = |device: &Device| Ok(format!("165312340000{}", device.gpu));
    nvmlDeviceGetVbiosVersion = |_: &Device| Ok("96.00.BC.00.01".to_owned());
    nvmlDeviceGetName = |device: &Device| {
        let name = device.text("name")?;
        Ok(match device.part {
            Some(part) => format!("{name} MIG {}", PARTS[part].0),
            None => name,
        })
    };
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMinorNumber(device: usize, at: *mut c_uint) -> Return {
    answer(|| unsafe { set(at, Device::whole(device)?.gpu as c_uint) })
}

#[repr(C)]
pub struct PciInfo {
    legacy: [c_char; 16],
    domain: c_uint,
    bus: c_uint,
    device: c_uint,
    pci_device_id: c_uint,
    pci_sub_system_id: c_uint,
    bus_id: [c_char; 32],
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: usize, at: *mut PciInfo) -> Return {
    answer(|| {
        let bus = 0x65 + Device::whole(device)?.gpu as c_uint;
        let mut info = PciInfo {
            legacy: [0; 16],
            domain: 0,
            bus,
            device: 0,
            pci_device_id: 0x2335_10DE,
            pci_sub_system_id: 0x18BE_10DE,
            bus_id: [0; 32],
        };
        unsafe { set_text(info.bus_id.as_mut_ptr(), 32, &format!("00000000:{bus:02X}:00.0"))? };
        unsafe { set(at, info) }
    })
}

#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: usize,
    at: *mut Utilization,
) -> Return {
    answer(|| {
        let device = Device::whole(device)?;
        let (gpu, memory) = (device.number("utilization")?, device.number("memory_utilization")?);
        unsafe { set(at, Utilization { gpu: gpu as c_uint, memory: memory as c_uint }) }
    })
}

unsafe fn coder(device: usize, key: &str, at: *mut c_uint, period: *mut c_uint) -> Return {
    answer(|| {
        let value = Device::whole(device)?.number(key)?;
        unsafe {
            set(at, value as c_uint)?;
            set(period, 167_000)
        }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: usize,
    at: *mut c_uint,
    period: *mut c_uint,
) -> Return {
    unsafe { coder(device, "encoder", at, period) }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: usize,
    at: *mut c_uint,
    period: *mut c_uint,
) -> Return {
    unsafe { coder(device, "decoder", at, period) }
}

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: usize, at: *mut Memory) -> Return {
    answer(|| {
        let version = (size_of::<Memory>() | 2 << 24) as c_uint;
        if unsafe { (*at).version } != version {
            return Err(ARGUMENT_VERSION_MISMATCH);
        }
        let device = Device::of(device)?;
        let (total, reserved, used) = match device.part {
            Some(part) => (PARTS[part].2, 0, PARTS[part].3),
            None => (
                device.number("memory_total")?,
                device.number("memory_reserved")?,
                device.number("memory_used")?,
            ),
        };
        let free = total - reserved - used;
        unsafe { set(at, Memory { version, total, reserved, free, used }) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: usize,
    sensor: c_uint,
    at: *mut c_uint,
) -> Return {
    answer(|| {
        if sensor != 0 {
            return Err(INVALID_ARGUMENT);
        }
        let value = Device::whole(device)?.number("temperature")?;
        unsafe { set(at, value as c_uint) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetClockInfo(
    device: usize,
    clock: c_uint,
    at: *mut c_uint,
) -> Return {
    answer(|| {
        let keys = ["clock_graphics", "clock_sm", "clock_memory", "clock_video"];
        let key = keys.get(clock as usize).ok_or(INVALID_ARGUMENT)?;
        let value = Device::whole(device)?.number(key)?;
        unsafe { set(at, value as c_uint) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFanSpeed_v2(
    device: usize,
    _: c_uint,
    at: *mut c_uint,
) -> Return {
    answer(|| {
        let value = Device::whole(device)?.number("fan")?;
        unsafe { set(at, value as c_uint) }
    })
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPcieThroughput(
    device: usize,
    counter: c_uint,
    at: *mut c_uint,
) -> Return {
    answer(|| {
        let device = Device::whole(device)?;
        // As long as a driver takes to watch.
        sleep(Duration::from_millis(20));
        let value = device.number(if counter == 0 { "pcie_send" } else { "pcie_receive" })?;
        unsafe { set(at, value as c_uint) }
    })
}
