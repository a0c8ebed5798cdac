//! What a driver says of a GPU, whoever made it: plain values, in the units that they come in.

use super::fault::Fault;
use crate::label::LabelValue;

/// Temperatures above are none: DCGM leaves them out as well.
pub(super) const HOTTEST: f64 = 200.0;

/// What does not change of a GPU while it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) vendor: Vendor,
    /// Its number among those of its driver.
    pub(super) index: u32,
    pub(super) uuid: String,
    pub(super) model: String,
    pub(super) pci_bus_id: String,
    /// What the system calls it: `nvidia0`, `card0`.
    pub(super) device: String,
    pub(super) serial: String,
    pub(super) vbios: String,
    pub(super) driver: String,
}

/// Who made a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Vendor {
    Nvidia,
    Amd,
}

/// A clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Clock {
    Sm,
    Memory,
    Graphics,
    Video,
}

/// What keeps clocks down, as a bit of the driver's mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum ThrottleReason {
    GpuIdle,
    ApplicationsClocksSetting,
    SwPowerCap,
    HwSlowdown,
    SyncBoost,
    SwThermalSlowdown,
    HwThermalSlowdown,
    HwPowerBrakeSlowdown,
    DisplayClockSetting,
}

/// What the time that clocks were kept down is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Policy {
    Power,
    Thermal,
    SyncBoost,
    BoardLimit,
    LowUtilization,
    Reliability,
}

/// Whether an error of the memory was made good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Error {
    Corrected,
    Uncorrected,
}

/// Since when errors are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Lifetime {
    /// Since the driver was loaded.
    Volatile,
    /// Since the GPU was made.
    Aggregate,
}

/// A counter of the GPU's own, as its mean between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Profiled {
    Graphics,
    Sm,
    Occupancy,
    Tensor,
    Dram,
    PcieReceive,
    PcieSend,
    NvlinkReceive,
    NvlinkSend,
}

/// How much of it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// What moves at once, and costs little.
    Quick,
    /// All of it: counts of errors, processes, MIG devices, and what the driver takes long to measure.
    Full,
}

/// What a driver said of a GPU, as far as it could. A quick look leaves of the last full one what it
/// does not read itself.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Percent of the time in which it worked.
    pub(super) utilization: Option<u32>,
    /// Percent of the time in which its memory was read or written.
    pub(super) memory_utilization: Option<u32>,
    pub(super) encoder_utilization: Option<u32>,
    pub(super) decoder_utilization: Option<u32>,
    pub(super) memory: Option<Memory>,
    /// Degrees Celsius.
    pub(super) temperature: Option<f64>,
    pub(super) memory_temperature: Option<f64>,
    /// Watts.
    pub(super) power: Option<f64>,
    pub(super) power_limit: Option<f64>,
    /// Millijoules since the driver was loaded.
    pub(super) energy: Option<u64>,
    /// Hertz, by [`Clock`].
    pub(super) clocks: [Option<u64>; Clock::LABELS.len()],
    /// Percent of the fan's highest speed.
    pub(super) fan: Option<f64>,
    /// NVIDIA's mask of [`ThrottleReason`]s.
    pub(super) throttle: Option<u64>,
    /// Nanoseconds, by [`Policy`].
    pub(super) throttled: [Option<u64>; Policy::LABELS.len()],
    pub(super) pcie: Pcie,
    /// By [`Error`] and [`Lifetime`].
    pub(super) ecc: [[Option<u64>; 2]; 2],
    /// Pages, by the [`Error`] for which they were retired.
    pub(super) retired: [Option<u64>; 2],
    pub(super) retirement_pending: Option<bool>,
    /// Rows, by the [`Error`] for which they were remapped.
    pub(super) remapped: [Option<u64>; 2],
    pub(super) remapping_failed: Option<bool>,
    /// The last XID, 0 if there was none; none if nobody would tell.
    pub(super) last_xid: Option<u64>,
    /// By [`Profiled`]: shares of the time, or bytes a second.
    pub(super) profile: [Option<f64>; Profiled::LABELS.len()],
    pub(super) processes: Vec<Process>,
    pub(super) migs: Vec<Mig>,
    /// What could not be read this time, though it should.
    pub(super) faults: Vec<Fault>,
    /// Whether anything was read this time.
    pub(super) answered: bool,
}

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total: u64,
    pub(super) used: u64,
    pub(super) free: u64,
    pub(super) reserved: Option<u64>,
}

/// What is known of a GPU's way to its host.
#[derive(Debug, Default)]
pub(super) struct Pcie {
    pub(super) replays: Option<u64>,
    pub(super) generation: Option<u32>,
    pub(super) lanes: Option<u32>,
    /// Bytes in all.
    pub(super) received: Option<u64>,
    pub(super) sent: Option<u64>,
    /// Kilobytes a second, for the last 20 ms.
    pub(super) receive_rate: Option<u64>,
    pub(super) send_rate: Option<u64>,
}

/// A process that has memory of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) kind: &'static str,
    /// Bytes.
    pub(super) memory: u64,
}

/// A part of a GPU that works by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mig {
    /// The number of its GPU instance.
    pub(super) instance: String,
    /// `1g.18gb`.
    pub(super) profile: String,
    pub(super) uuid: String,
    pub(super) memory: Memory,
}

/// The value, if it is a share of the time: where firmware does not know, all bits may be set.
pub(super) fn percent(value: u32) -> Option<u32> {
    (value <= 100).then_some(value)
}

impl Reading {
    pub(super) fn profiled(&self, what: Profiled) -> Option<f64> {
        self.profile[what as usize]
    }
}

impl ThrottleReason {
    /// All of them, in the order of their indices.
    pub(super) const ALL: [Self; 9] = [
        Self::GpuIdle,
        Self::ApplicationsClocksSetting,
        Self::SwPowerCap,
        Self::HwSlowdown,
        Self::SyncBoost,
        Self::SwThermalSlowdown,
        Self::HwThermalSlowdown,
        Self::HwPowerBrakeSlowdown,
        Self::DisplayClockSetting,
    ];

    /// Its bit in NVML's mask, which is DCGM's.
    pub(super) fn bit(self) -> u64 {
        1 << self.index()
    }
}

impl Clock {
    /// All of them, in the order of their indices.
    pub(super) const ALL: [Self; 4] = [Self::Sm, Self::Memory, Self::Graphics, Self::Video];
}

impl Profiled {
    /// All of them, in the order of their indices.
    pub(super) const ALL: [Self; 9] = [
        Self::Graphics,
        Self::Sm,
        Self::Occupancy,
        Self::Tensor,
        Self::Dram,
        Self::PcieReceive,
        Self::PcieSend,
        Self::NvlinkReceive,
        Self::NvlinkSend,
    ];
}

impl Policy {
    /// All of them, in the order of their indices.
    pub(super) const ALL: [Self; 6] = [
        Self::Power,
        Self::Thermal,
        Self::SyncBoost,
        Self::BoardLimit,
        Self::LowUtilization,
        Self::Reliability,
    ];
}

impl Error {
    pub(super) const ALL: [Self; 2] = [Self::Corrected, Self::Uncorrected];
}

impl Lifetime {
    pub(super) const ALL: [Self; 2] = [Self::Volatile, Self::Aggregate];
}

#[cfg(test)]
mod tests {
    use nvml_wrapper::bitmasks::device::ThrottleReasons;

    use super::*;

    #[test]
    fn the_bits_of_reasons_are_those_of_nvml() {
        for (reason, bits) in [
            (ThrottleReason::GpuIdle, ThrottleReasons::GPU_IDLE),
            (
                ThrottleReason::ApplicationsClocksSetting,
                ThrottleReasons::APPLICATIONS_CLOCKS_SETTING,
            ),
            (ThrottleReason::SwPowerCap, ThrottleReasons::SW_POWER_CAP),
            (ThrottleReason::HwSlowdown, ThrottleReasons::HW_SLOWDOWN),
            (ThrottleReason::SyncBoost, ThrottleReasons::SYNC_BOOST),
            (ThrottleReason::SwThermalSlowdown, ThrottleReasons::SW_THERMAL_SLOWDOWN),
            (ThrottleReason::HwThermalSlowdown, ThrottleReasons::HW_THERMAL_SLOWDOWN),
            (ThrottleReason::HwPowerBrakeSlowdown, ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN),
            (ThrottleReason::DisplayClockSetting, ThrottleReasons::DISPLAY_CLOCK_SETTING),
        ] {
            assert_eq!(reason.bit(), bits.bits(), "{reason:?}");
        }
    }

    #[test]
    fn lists_are_in_the_order_of_indices() {
        fn check<V: LabelValue>(all: &[V]) {
            assert_eq!(all.len(), V::LABELS.len());
            assert!(all.iter().enumerate().all(|(i, value)| value.index() == i));
        }
        check(&ThrottleReason::ALL);
        check(&Clock::ALL);
        check(&Policy::ALL);
        check(&Profiled::ALL);
        check(&Error::ALL);
        check(&Lifetime::ALL);
    }
}
