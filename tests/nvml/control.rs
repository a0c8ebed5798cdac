//! What the control file says, and of which device.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use crate::{
    GPU_IS_LOST, INITIALISED, INVALID_ARGUMENT, NOT_SUPPORTED, Return, UNINITIALIZED, UNKNOWN,
    nvmlShutdown,
};

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
    // Counters that are compared: percents, and MiB a second.
    ("gpm", "1"),
    ("gpm_1", "73.5"),
    ("gpm_2", "61"),
    ("gpm_3", "24.5"),
    ("gpm_5", "38"),
    ("gpm_10", "52"),
    ("gpm_20", "2"),
    ("gpm_21", "1.5"),
    ("gpm_60", "256"),
    ("gpm_61", "none"),
    ("mig", "off"),
    ("state", "up"),
    ("events", "whole"),
    ("xid", ""),
];

/// Handles are numbers; there is nothing behind them.
pub(crate) const FIRST: usize = 0x1000;
pub(crate) const STEP: usize = 0x100;

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
pub(crate) struct Control(pub(crate) BTreeMap<String, Vec<String>>);

/// The library's own folder.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut info = DlInfo {
            file: std::ptr::null(),
            base: std::ptr::null_mut(),
            symbol: std::ptr::null(),
            address: std::ptr::null_mut(),
        };
        let own = nvmlShutdown as *const c_void;
        assert!(unsafe { dladdr(own, &mut info) } != 0, "the library has no path");
        let file = unsafe { CStr::from_ptr(info.file) };
        let file = Path::new(OsStr::from_bytes(file.to_bytes()));
        file.parent().unwrap_or(file).to_owned()
    })
}

impl Control {
    pub(crate) fn read() -> Self {
        let text = fs::read_to_string(folder().join("control")).unwrap_or_default();
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            said.entry(key.to_owned()).or_default().push(value.to_owned());
        }
        Self(said)
    }

    pub(crate) fn last(&self, key: &str) -> Option<&str> {
        Some(self.0.get(key)?.last()?)
    }

    pub(crate) fn gpus(&self) -> usize {
        self.last("gpus").and_then(|gpus| gpus.parse().ok()).unwrap_or(2)
    }
}

/// A GPU or a part of one.
pub(crate) struct Device {
    pub(crate) control: Control,
    pub(crate) gpu: usize,
    pub(crate) part: Option<usize>,
}

/// One more call hangs: a line in the file `hanging`.
fn note_hang(gpu: usize) {
    let file = OpenOptions::new().create(true).append(true).open(folder().join("hanging"));
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{gpu}");
    }
}

impl Device {
    /// The device of a handle, unless it is lost or fails; waits for as long as it hangs.
    pub(crate) fn of(handle: usize) -> Result<Self, Return> {
        if INITIALISED.load(Ordering::SeqCst) == 0 {
            return Err(UNINITIALIZED);
        }
        let (gpu, part) = (handle.wrapping_sub(FIRST) / STEP, handle % STEP);
        let mut hangs = false;
        loop {
            let control = Control::read();
            if handle < FIRST || gpu >= control.gpus() {
                return Err(INVALID_ARGUMENT);
            }
            match control.last(&format!("{gpu}.state")).unwrap_or("up") {
                "lost" => return Err(GPU_IS_LOST),
                "failing" => return Err(UNKNOWN),
                "hanging" => {
                    if !hangs {
                        hangs = true;
                        note_hang(gpu);
                    }
                    sleep(Duration::from_millis(5));
                }
                _ => return Ok(Self { control, gpu, part: part.checked_sub(1) }),
            }
        }
    }

    /// The same of a whole GPU; parts have no such values.
    pub(crate) fn whole(handle: usize) -> Result<Self, Return> {
        Self::of(handle).and_then(|device| match device.part {
            None => Ok(device),
            Some(_) => Err(NOT_SUPPORTED),
        })
    }

    pub(crate) fn text(&self, key: &str) -> Result<String, Return> {
        let said = self.control.last(&format!("{}.{key}", self.gpu));
        let default = DEFAULTS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match said.or(default).unwrap_or("none") {
            "none" => Err(NOT_SUPPORTED),
            text => Ok(text.to_owned()),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, Return> {
        let text = self.text(key)?;
        let (text, more) = match text.strip_suffix('+') {
            Some(text) => (text.to_owned(), self.gpu as u64),
            None => (text, 0),
        };
        text.parse::<u64>().map(|number| number + more).map_err(|_| UNKNOWN)
    }

    pub(crate) fn uuid(&self) -> String {
        match self.part {
            None => format!("GPU-0000000{}-1111-2222-3333-444455556666", self.gpu),
            Some(part) => format!("MIG-0000000{}-aaaa-bbbb-cccc-00000000000{part}", self.gpu),
        }
    }
}
