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
//! 1.xid 79                an XID of GPU 1, reported once for each number of times it is written
//! ```
//!
//! Built by the tests: `rustc --crate-type cdylib`.

#![allow(non_snake_case, clippy::missing_safety_doc)]

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_longlong, c_uint, c_ulonglong, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

type Return = c_uint;

const SUCCESS: Return = 0;
const UNINITIALIZED: Return = 1;
const INVALID_ARGUMENT: Return = 2;
const NOT_SUPPORTED: Return = 3;
const NOT_FOUND: Return = 6;
const INSUFFICIENT_SIZE: Return = 7;
const DRIVER_NOT_LOADED: Return = 9;
const TIMEOUT: Return = 10;
const GPU_IS_LOST: Return = 15;
const ARGUMENT_VERSION_MISMATCH: Return = 25;
const UNKNOWN: Return = 999;

/// How a GPU answers where nothing else is said. A GPU's number is added to those with a `+`.
const DEFAULTS: &[(&str, &str)] = &[
    ("name", "NVIDIA H200"),
    ("utilization", "42+"),
    ("memory_utilization", "17"),
    ("encoder", "3"),
    ("decoder", "5"),
    ("memory_total", "150754820096"),
    ("memory_used", "68719476736"),
    ("memory_reserved", "629145600"),
    ("temperature", "51+"),
    ("memory_temperature", "64"),
    ("power", "345678"),
    ("power_limit", "700000"),
    ("energy", "123456789"),
    ("clock_graphics", "1980"),
    ("clock_sm", "1980"),
    ("clock_memory", "3201"),
    ("clock_video", "1545"),
    ("fan", "none"),
    ("throttle", "4"),
    ("violation_power", "1500000000"),
    ("violation_thermal", "250000000"),
    ("violation_sync_boost", "0"),
    ("violation_board_limit", "0"),
    ("violation_low_utilization", "0"),
    ("violation_reliability", "none"),
    ("replays", "2"),
    ("pcie_generation", "5"),
    ("pcie_width", "16"),
    ("pcie_receive", "1200"),
    ("pcie_send", "3400"),
    ("pcie_received", "700000000"),
    ("pcie_sent", "900000000"),
    ("ecc_corrected_volatile", "1"),
    ("ecc_corrected_aggregate", "11"),
    ("ecc_uncorrected_volatile", "0"),
    ("ecc_uncorrected_aggregate", "2"),
    ("retired_single", "none"),
    ("retired_double", "none"),
    ("retirement_pending", "none"),
    ("remapped_corrected", "0"),
    ("remapped_uncorrected", "1"),
    ("remapping_failed", "0"),
    // Pairs of a process and its memory.
    ("compute", "4711:1073741824,4712:2147483648"),
    ("graphics", ""),
    ("mig", "off"),
    ("state", "up"),
    ("xid", ""),
];

/// Parts of a GPU with MIG: profile, number of the GPU instance, memory, used memory.
const PARTS: [(&str, c_uint, u64, u64); 2] =
    [("3g.71gb", 1, 75_000_000_000, 5_368_709_120), ("1g.18gb", 7, 18_000_000_000, 268_435_456)];

/// Where a part may be, and is none.
const MOST_PARTS: c_uint = 7;

/// Handles are numbers; there is nothing behind them.
const FIRST: usize = 0x1000;
const STEP: usize = 0x100;

static INITIALISED: AtomicUsize = AtomicUsize::new(0);

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// What the control file says.
struct Control(BTreeMap<String, Vec<String>>);

impl Control {
    fn read() -> Self {
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        let path = PATH.get_or_init(|| {
            let mut info = DlInfo {
                file: std::ptr::null(),
                base: std::ptr::null_mut(),
                symbol: std::ptr::null(),
                address: std::ptr::null_mut(),
            };
            let own = nvmlShutdown as *const c_void;
            assert!(unsafe { dladdr(own, &mut info) } != 0, "the library has no path");
            let file = unsafe { CStr::from_ptr(info.file) };
            let file = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
            file.with_file_name("control")
        });
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            said.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Self(said)
    }

    fn last(&self, key: &str) -> Option<&str> {
        Some(self.0.get(key)?.last()?)
    }

    fn gpus(&self) -> usize {
        self.last("gpus").and_then(|gpus| gpus.parse().ok()).unwrap_or(2)
    }
}

/// A GPU or a part of one.
struct Device {
    control: Control,
    gpu: usize,
    part: Option<usize>,
}

impl Device {
    /// The device of a handle, unless it is lost or fails; waits for as long as it hangs.
    fn of(handle: usize) -> Result<Self, Return> {
        if INITIALISED.load(Ordering::SeqCst) == 0 {
            return Err(UNINITIALIZED);
        }
        let (gpu, part) = (handle.wrapping_sub(FIRST) / STEP, handle % STEP);
        loop {
            let control = Control::read();
            if handle < FIRST || gpu >= control.gpus().max(16) {
                return Err(INVALID_ARGUMENT);
            }
            match control.last(&format!("{gpu}.state")).unwrap_or("up") {
                "lost" => return Err(GPU_IS_LOST),
                "failing" => return Err(UNKNOWN),
                "hanging" => sleep(Duration::from_millis(5)),
                _ => return Ok(Self { control, gpu, part: part.checked_sub(1) }),
            }
        }
    }

    /// The same of a whole GPU; parts have no such values.
    fn whole(handle: usize) -> Result<Self, Return> {
        Self::of(handle).and_then(|device| match device.part {
            None => Ok(device),
            Some(_) => Err(NOT_SUPPORTED),
        })
    }

    fn text(&self, key: &str) -> Result<String, Return> {
        let said = self.control.last(&format!("{}.{key}", self.gpu));
        let default = DEFAULTS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match said.or(default).unwrap_or("none") {
            "none" => Err(NOT_SUPPORTED),
            text => Ok(text.to_owned()),
        }
    }

    fn number(&self, key: &str) -> Result<u64, Return> {
        let text = self.text(key)?;
        let (text, more) = match text.strip_suffix('+') {
            Some(text) => (text.to_owned(), self.gpu as u64),
            None => (text, 0),
        };
        text.parse::<u64>().map(|number| number + more).map_err(|_| UNKNOWN)
    }

    fn uuid(&self) -> String {
        match self.part {
            None => format!("GPU-0000000{}-1111-2222-3333-444455556666", self.gpu),
            Some(part) => format!("MIG-0000000{}-aaaa-bbbb-cccc-00000000000{part}", self.gpu),
        }
    }
}

fn answer(body: impl FnOnce() -> Result<(), Return>) -> Return {
    body().err().unwrap_or(SUCCESS)
}

/// Writes a value where the caller wants it.
unsafe fn set<T>(at: *mut T, value: T) -> Result<(), Return> {
    if at.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    unsafe { at.write(value) };
    Ok(())
}

/// Writes a text where the caller wants it, if there is room.
unsafe fn set_text(at: *mut c_char, room: c_uint, text: &str) -> Result<(), Return> {
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
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Return {
    INITIALISED.fetch_sub(1, Ordering::SeqCst);
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
        let gpu = Device::whole(device)?.gpu;
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
