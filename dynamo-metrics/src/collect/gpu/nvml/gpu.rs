//! What NVML says of one GPU.

use nvml_wrapper::enum_wrappers::device::{
    Clock as NvmlClock, EccCounter, MemoryError, PcieUtilCounter, PerformancePolicy,
    RetirementCause, TemperatureSensor,
};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, ProcessInfo};
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::{
    NVML_FI_DEV_MEMORY_TEMP, NVML_FI_DEV_PCIE_COUNT_RX_BYTES, NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
    NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_FAILURE, NVML_FI_DEV_REMAPPED_UNC,
};
use nvml_wrapper::{Device, Nvml};

use super::calls::{Calls, fault};
use super::profile::Profiler;
use super::raw;
use crate::collect::gpu::fault::{Fault, Reason};
use crate::collect::gpu::reading::{
    Clock, Depth, Error, Facts, HOTTEST, Lifetime, Memory, Mig, Policy, Process, Reading, Vendor,
    percent,
};

/// A GPU, with what NVML hands out to ask for it.
#[derive(Debug)]
pub(super) struct Gpu<'nvml> {
    device: Device<'nvml>,
    profiler: Profiler<'nvml>,
}

/// What a GPU is.
///
/// # Errors
/// That it has no identity, or is gone.
pub(super) fn facts(nvml: &Nvml, device: &Device<'_>, index: u32) -> Result<Facts, Fault> {
    let uuid = device.uuid().map_err(|error| fault("UUID", &error))?;
    let (minor, pci) = (device.minor_number(), device.pci_info());
    Ok(Facts {
        vendor: Vendor::Nvidia,
        index,
        uuid,
        model: device.name().unwrap_or_default(),
        pci_bus_id: pci.map(|pci| pci.bus_id).unwrap_or_default(),
        device: minor.map(|minor| format!("nvidia{minor}")).unwrap_or_default(),
        serial: device.serial().unwrap_or_default(),
        vbios: device.vbios_version().unwrap_or_default(),
        driver: nvml.sys_driver_version().unwrap_or_default(),
    })
}

impl<'nvml> Gpu<'nvml> {
    pub(super) fn new(nvml: &'nvml Nvml, device: Device<'nvml>) -> Self {
        let profiler = Profiler::new(nvml, &device);
        Self { device, profiler }
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// That the GPU is gone.
    pub(super) fn read(&mut self, depth: Depth, reading: &mut Reading) -> Result<(), Fault> {
        let mut calls = Calls::new(reading);
        self.quick(&mut calls)?;
        if depth == Depth::Full {
            self.pcie(&mut calls)?;
            self.errors(&mut calls)?;
            self.throttled(&mut calls)?;
            self.profiler.read(&self.device, &mut calls)?;
            self.processes(&mut calls)?;
            self.migs(&mut calls)?;
        }
        if !reading.answered && reading.faults.is_empty() {
            // A handle that stands for nothing any more: every call is refused, and none fails.
            return Err(Fault::new(Reason::Lost, "the GPU answers nothing"));
        }
        Ok(())
    }

    /// What moves at once, and costs little.
    fn quick(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        let device = &self.device;
        let utilization = calls.value("utilization", device.utilization_rates())?;
        let encoder = calls.value("encoder utilization", device.encoder_utilization())?;
        let decoder = calls.value("decoder utilization", device.decoder_utilization())?;
        let memory = calls.value("memory", device.memory_info())?;
        let temperature = device.temperature(TemperatureSensor::Gpu);
        let temperature = calls.value("temperature", temperature)?;
        let [memory_temperature] = self.fields(calls, [NVML_FI_DEV_MEMORY_TEMP])?;
        let power = calls.value("power", device.power_usage())?;
        let energy = calls.value("energy", device.total_energy_consumption())?;
        let throttle = calls.value("throttle reasons", device.current_throttle_reasons())?;
        let mut clocks = [None; Clock::ALL.len()];
        for clock in Clock::ALL {
            let megahertz = calls.value("clock", device.clock_info(nvml_clock(clock)))?;
            clocks[clock as usize] = megahertz.map(|clock| u64::from(clock) * 1_000_000);
        }
        let reading = calls.reading();
        reading.utilization = utilization.as_ref().map(|rates| rates.gpu).and_then(percent);
        reading.memory_utilization = utilization.map(|rates| rates.memory).and_then(percent);
        reading.encoder_utilization = encoder.map(|encoder| encoder.utilization).and_then(percent);
        reading.decoder_utilization = decoder.map(|decoder| decoder.utilization).and_then(percent);
        reading.memory = memory.map(|memory| bytes(&memory));
        let plausible = |celsius: &f64| *celsius <= HOTTEST;
        reading.temperature = temperature.map(f64::from).filter(plausible);
        reading.memory_temperature =
            memory_temperature.map(|celsius| celsius as f64).filter(plausible);
        // All bits are set where the board has no value at the moment.
        let power = power.filter(|&milliwatts| milliwatts != u32::MAX);
        reading.power = power.map(|milliwatts| f64::from(milliwatts) / 1e3);
        reading.energy = energy.filter(|&millijoules| millijoules != u64::MAX);
        reading.throttle = throttle.map(|reasons| reasons.bits());
        reading.clocks = clocks;
        Ok(())
    }

    fn pcie(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        let device = &self.device;
        let limit = calls.value("power limit", device.enforced_power_limit())?;
        let fan = calls.value("fan", device.fan_speed(0))?;
        let replays = calls.value("PCIe replays", device.pcie_replay_counter())?;
        let generation = calls.value("PCIe generation", device.current_pcie_link_gen())?;
        let lanes = calls.value("PCIe width", device.current_pcie_link_width())?;
        let counts = [NVML_FI_DEV_PCIE_COUNT_RX_BYTES, NVML_FI_DEV_PCIE_COUNT_TX_BYTES];
        let [received, sent] = self.fields(calls, counts)?;
        // The driver watches for 20 ms each: the GPU's own thread waits for it.
        let rate = device.pcie_throughput(PcieUtilCounter::Receive);
        let receive_rate = calls.value("PCIe throughput", rate)?;
        let rate = device.pcie_throughput(PcieUtilCounter::Send);
        let send_rate = calls.value("PCIe throughput", rate)?;
        let reading = calls.reading();
        reading.power_limit = limit.map(|milliwatts| f64::from(milliwatts) / 1e3);
        reading.fan = fan.map(f64::from);
        reading.pcie.replays = replays.map(u64::from);
        (reading.pcie.generation, reading.pcie.lanes) = (generation, lanes);
        (reading.pcie.received, reading.pcie.sent) = (received, sent);
        reading.pcie.receive_rate = receive_rate.map(u64::from);
        reading.pcie.send_rate = send_rate.map(u64::from);
        Ok(())
    }

    fn errors(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        let device = &self.device;
        for error in Error::ALL {
            let (kind, cause) = match error {
                Error::Corrected => {
                    (MemoryError::Corrected, RetirementCause::MultipleSingleBitEccErrors)
                }
                Error::Uncorrected => {
                    (MemoryError::Uncorrected, RetirementCause::DoubleBitEccError)
                }
            };
            for lifetime in Lifetime::ALL {
                let counter = match lifetime {
                    Lifetime::Volatile => EccCounter::Volatile,
                    Lifetime::Aggregate => EccCounter::Aggregate,
                };
                let ecc = device.total_ecc_errors(kind, counter);
                let ecc = calls.value("ECC errors", ecc)?;
                calls.reading().ecc[error as usize][lifetime as usize] = ecc;
            }
            let pages = calls.value("retired pages", device.retired_pages(cause))?;
            calls.reading().retired[error as usize] = pages.map(|pages| pages.len() as u64);
        }
        let pending = calls.value("pending pages", device.are_pages_pending_retired())?;
        let rows =
            [NVML_FI_DEV_REMAPPED_COR, NVML_FI_DEV_REMAPPED_UNC, NVML_FI_DEV_REMAPPED_FAILURE];
        let [corrected, uncorrected, failed] = self.fields(calls, rows)?;
        let reading = calls.reading();
        reading.retirement_pending = pending;
        reading.remapped = [corrected, uncorrected];
        reading.remapping_failed = failed.map(|failed| failed != 0);
        Ok(())
    }

    fn throttled(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        for policy in Policy::ALL {
            let time = self.device.violation_status(nvml_policy(policy));
            let time = calls.value("violation time", time)?;
            calls.reading().throttled[policy as usize] = time.map(|time| time.violation_time);
        }
        Ok(())
    }

    fn processes(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        let device = &self.device;
        let mut all = Vec::new();
        for (kind, processes) in [
            ("compute", device.running_compute_processes()),
            ("graphics", device.running_graphics_processes()),
        ] {
            let processes = calls.value("processes", processes)?.unwrap_or_default();
            all.extend(processes.iter().filter_map(|process| used(process, kind)));
        }
        calls.reading().processes = together(all);
        Ok(())
    }

    fn migs(&self, calls: &mut Calls<'_>) -> Result<(), Fault> {
        calls.reading().migs.clear();
        let mode = calls.value("MIG mode", self.device.mig_mode())?;
        if mode.is_none_or(|mode| mode.current == 0) {
            return Ok(());
        }
        let most = calls.value("MIG devices", self.device.mig_device_count())?.unwrap_or(0);
        for index in 0..most {
            let mig = self.device.mig_device_by_index(index);
            let Some(mig) = calls.value("MIG device", mig)? else { continue };
            let Some(memory) = calls.value("MIG memory", mig.memory_info())? else { continue };
            let instance = calls.value("GPU instance", raw::gpu_instance_id(&mig))?;
            let name = calls.value("MIG name", mig.name())?.unwrap_or_default();
            let uuid = calls.value("MIG UUID", mig.uuid())?.unwrap_or_default();
            calls.reading().migs.push(Mig {
                instance: instance.map(|id| id.to_string()).unwrap_or_default(),
                profile: profile(&name).to_owned(),
                uuid,
                memory: bytes(&memory),
            });
        }
        Ok(())
    }

    /// The values of these fields, as far as there are some.
    fn fields<const N: usize>(
        &self,
        calls: &mut Calls<'_>,
        ids: [u32; N],
    ) -> Result<[Option<u64>; N], Fault> {
        let mut values = [None; N];
        let answer = self.device.field_values_for(&ids.map(FieldId));
        let Some(samples) = calls.value("fields", answer)? else { return Ok(values) };
        for (value, sample) in values.iter_mut().zip(samples) {
            let sample = sample.and_then(|sample| sample.value);
            *value = calls.value("field", sample)?.and_then(|value| whole(&value));
        }
        Ok(values)
    }
}

fn nvml_clock(clock: Clock) -> NvmlClock {
    match clock {
        Clock::Sm => NvmlClock::SM,
        Clock::Memory => NvmlClock::Memory,
        Clock::Graphics => NvmlClock::Graphics,
        Clock::Video => NvmlClock::Video,
    }
}

fn nvml_policy(policy: Policy) -> PerformancePolicy {
    match policy {
        Policy::Power => PerformancePolicy::Power,
        Policy::Thermal => PerformancePolicy::Thermal,
        Policy::SyncBoost => PerformancePolicy::SyncBoost,
        Policy::BoardLimit => PerformancePolicy::BoardLimit,
        Policy::LowUtilization => PerformancePolicy::LowUtilization,
        Policy::Reliability => PerformancePolicy::Reliability,
    }
}

fn bytes(memory: &MemoryInfo) -> Memory {
    let MemoryInfo { total, used, free, reserved, .. } = *memory;
    Memory { total, used, free, reserved: Some(reserved) }
}

fn used(process: &ProcessInfo, kind: &'static str) -> Option<Process> {
    match process.used_gpu_memory {
        UsedGpuMemory::Used(memory) => Some(Process { pid: process.pid, kind, memory }),
        UsedGpuMemory::Unavailable => None,
    }
}

/// Each process once: with MIG it is listed for each part that it has memory of.
fn together(mut all: Vec<Process>) -> Vec<Process> {
    all.sort_unstable_by_key(|process| (process.pid, process.kind));
    all.dedup_by(|next, first| {
        let same = (next.pid, next.kind) == (first.pid, first.kind);
        if same {
            first.memory = first.memory.saturating_add(next.memory);
        }
        same
    });
    all
}

/// The profile in the name of a part: `NVIDIA H200 MIG 1g.18gb` has `1g.18gb`.
fn profile(name: &str) -> &str {
    name.rsplit_once("MIG ").map(|(_, profile)| profile.trim()).unwrap_or_default()
}

/// A value that is no fraction.
fn whole(value: &SampleValue) -> Option<u64> {
    match *value {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_the_profile_of_its_name() {
        assert_eq!(profile("NVIDIA H200 MIG 1g.18gb"), "1g.18gb");
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb"), "1c.3g.20gb");
        assert_eq!(profile("NVIDIA H200"), "");
    }

    #[test]
    fn a_process_is_told_once() {
        let process = |pid, memory| Process { pid, kind: "compute", memory };
        let all = together(vec![process(7, 1), process(3, 5), process(7, 2)]);
        assert_eq!(all, [process(3, 5), process(7, 3)]);
    }
}
