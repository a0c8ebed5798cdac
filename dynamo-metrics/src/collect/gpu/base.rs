//! Metrics under names of our own, in base units.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use super::labels::{
    ClockOf, CountedErrorOf, ErrorOf, Gpu, GpuFacts, Identity, MigGpu, MigIdentity,
};
use super::labels::{PolicyOf, ReasonOf};
use super::reading::{
    Clock, Error, Lifetime, Memory, Policy, Process, Profiled, Reading, ThrottleReason,
};
use super::table::{find, put, table};
use crate::metric::{Counter, FloatCounter, FloatGauge, Gauge, Info};
use crate::registry::{DynamicFamily, Family, MetricSet, RegisterError, Scope};

/// Most XIDs that are told apart, and most processes, each for all GPUs together.
const MOST_SERIES: u64 = 1024;

/// The same, where it is a length.
const MOST_XIDS: usize = 1024;

table! {
    /// What drivers say of GPUs, in base units.
    ///
    /// # Source
    /// NVML, or amdgpu's files, sampled in the background.
    #[metric_set(prefix = "gpu", name = "GpuMetrics")]
    struct GpuSet of Gpu {
        /// Share of the time in which the GPU worked.
        ///
        /// # Source
        /// NVML's utilization of the last sample period (a second to a sixth of one); `gpu_busy_percent`.
        #[metric(unit = ratio)]
        utilization_ratio: FloatGauge = |r| r.utilization.map(ratio),
        /// Share of the time in which the GPU's memory was read or written.
        ///
        /// # Source
        /// NVML's memory utilization; `mem_busy_percent`.
        #[metric(unit = ratio)]
        memory_busy_ratio: FloatGauge = |r| r.memory_utilization.map(ratio),
        /// Share of the time in which the encoder worked.
        #[metric(unit = ratio)]
        encoder_utilization_ratio: FloatGauge = |r| r.encoder_utilization.map(ratio),
        /// Share of the time in which the decoder worked.
        #[metric(unit = ratio)]
        decoder_utilization_ratio: FloatGauge = |r| r.decoder_utilization.map(ratio),
        /// Memory that the GPU has.
        #[metric(unit = bytes)]
        memory_size_bytes: Gauge = |r| r.memory.map(|memory| memory.total),
        /// Memory that is used.
        #[metric(unit = bytes)]
        memory_used_bytes: Gauge = |r| r.memory.map(|memory| memory.used),
        /// Memory that is free.
        #[metric(unit = bytes)]
        memory_free_bytes: Gauge = |r| r.memory.map(|memory| memory.free),
        /// Memory that the driver keeps for itself.
        #[metric(unit = bytes)]
        memory_reserved_bytes: Gauge = |r| r.memory.and_then(|memory| memory.reserved),
        /// Temperature of the GPU.
        ///
        /// # Source
        /// NVML's sensor of the GPU; amdgpu's at the edge, or at the junction if there is none.
        #[metric(unit = celsius)]
        temperature_celsius: FloatGauge = |r| r.temperature,
        /// Temperature of the GPU's memory.
        #[metric(unit = celsius)]
        memory_temperature_celsius: FloatGauge = |r| r.memory_temperature,
        /// Power that the board draws.
        ///
        /// # Source
        /// NVML's power usage (the mean of a second since Ampere); `power1_average` or `power1_input`.
        #[metric(unit = watts)]
        power_watts: FloatGauge = |r| r.power,
        /// Power that the board may draw.
        #[metric(unit = watts)]
        power_limit_watts: FloatGauge = |r| r.power_limit,
        /// Energy that the board drew since its driver was loaded.
        #[metric(unit = joules)]
        energy_joules_total: FloatCounter = |r| r.energy.map(|energy| energy as f64 / 1e3),
        /// Speed of the fan, as a share of the highest.
        #[metric(unit = ratio)]
        fan_speed_ratio: FloatGauge = |r| r.fan.map(|fan| fan / 100.0),
        /// Packets that were sent to the host again.
        pcie_replays_total: Counter = |r| r.pcie.replays,
        /// Generation of the link to the host.
        pcie_link_generation: Gauge = |r| r.pcie.generation.map(u64::from),
        /// Lanes of the link to the host.
        pcie_link_lanes: Gauge = |r| r.pcie.lanes.map(u64::from),
        /// Bytes that came from the host.
        #[metric(unit = bytes)]
        pcie_received_bytes_total: Counter = |r| r.pcie.received,
        /// Bytes that went to the host.
        #[metric(unit = bytes)]
        pcie_sent_bytes_total: Counter = |r| r.pcie.sent,
        /// Bytes a second that came from the host, in the last 20 ms.
        pcie_receive_bytes_per_second: Gauge = |r| r.pcie.receive_rate.map(kilo),
        /// Bytes a second that went to the host, in the last 20 ms.
        pcie_send_bytes_per_second: Gauge = |r| r.pcie.send_rate.map(kilo),
        /// Share of the time in which the graphics engine worked.
        ///
        /// # Source
        /// As all of its kind, NVML's counters (GPM) of Hopper and later: the mean of a second.
        #[metric(unit = ratio)]
        graphics_active_ratio: FloatGauge = |r| r.profiled(Profiled::Graphics),
        /// Share of the time in which a multiprocessor had work, over all of them.
        #[metric(unit = ratio)]
        sm_active_ratio: FloatGauge = |r| r.profiled(Profiled::Sm),
        /// Warps on multiprocessors, as a share of what there is room for.
        #[metric(unit = ratio)]
        sm_occupancy_ratio: FloatGauge = |r| r.profiled(Profiled::Occupancy),
        /// Share of the time in which the tensor cores worked.
        #[metric(unit = ratio)]
        tensor_active_ratio: FloatGauge = |r| r.profiled(Profiled::Tensor),
        /// Share of the memory's bandwidth that was used.
        #[metric(unit = ratio)]
        memory_bandwidth_ratio: FloatGauge = |r| r.profiled(Profiled::Dram),
        /// Bytes a second that came over NVLink.
        nvlink_receive_bytes_per_second: FloatGauge = |r| r.profiled(Profiled::NvlinkReceive),
        /// Bytes a second that went over NVLink.
        nvlink_send_bytes_per_second: FloatGauge = |r| r.profiled(Profiled::NvlinkSend),
        /// Whether pages of memory wait to be retired at the next restart.
        retirement_pending: Gauge = |r| r.retirement_pending.map(u64::from),
        /// Whether a row of memory could not be remapped.
        remapping_failed: Gauge = |r| r.remapping_failed.map(u64::from),
    }
}

/// What drivers say of GPUs by more than the GPU.
///
/// # Source
/// NVML, or amdgpu's files, sampled in the background.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = "gpu", name = "GpuDetailMetrics")]
pub(super) struct DetailSet {
    /// Whether the GPU answered when it was last sampled.
    up: Family<Gpu, Gauge>,
    /// What the GPU is.
    info: Family<GpuFacts, Info>,
    /// Frequency of a clock.
    #[metric(unit = hertz)]
    clock_hertz: Family<ClockOf, Gauge>,
    /// Whether this keeps clocks down at the moment.
    ///
    /// # Source
    /// NVML's current reasons. `hw_slowdown` covers the two other `hw_` ones.
    throttled: Family<ReasonOf, Gauge>,
    /// Time for which clocks were kept down.
    ///
    /// # Source
    /// NVML's violation times, since the driver was loaded.
    #[metric(unit = seconds)]
    throttled_seconds_total: Family<PolicyOf, FloatCounter>,
    /// Errors of the GPU's memory, since the driver was loaded or since the GPU was made.
    ///
    /// # Source
    /// NVML's total ECC errors; `ras/umc_err_count`.
    ecc_errors_total: Family<CountedErrorOf, Counter>,
    /// Pages of memory that were retired, for errors of this kind.
    retired_pages: Family<ErrorOf, Gauge>,
    /// Rows of memory that were remapped, for errors of this kind.
    remapped_rows: Family<ErrorOf, Gauge>,
    /// Critical errors that the driver reported, since sampling began.
    ///
    /// # Source
    /// NVML's events.
    #[metric(labels(gpu, uuid, xid), series_cap = MOST_SERIES)]
    xid_errors_total: DynamicFamily<Counter, 3>,
    /// Memory that a process has of the GPU, at most 64 of them by GPU, those with most of it first.
    ///
    /// # Source
    /// NVML. The process's number is the host's.
    #[metric(unit = bytes, labels(gpu, uuid, pid, kind), series_cap = MOST_SERIES)]
    process_memory_used_bytes: DynamicFamily<Gauge, 4>,
}

/// What NVML says of parts of GPUs (MIG), in base units.
///
/// # Source
/// NVML, sampled in the background.
#[derive(Debug, MetricSet)]
#[expect(clippy::struct_field_names, reason = "named as what they show")]
#[metric_set(prefix = "gpu_mig", name = "GpuMigMetrics")]
pub(super) struct MigSet {
    /// Memory that the part has.
    #[metric(unit = bytes)]
    memory_size_bytes: Family<MigGpu, Gauge>,
    /// Memory of the part that is used.
    #[metric(unit = bytes)]
    memory_used_bytes: Family<MigGpu, Gauge>,
    /// Memory of the part that is free.
    #[metric(unit = bytes)]
    memory_free_bytes: Family<MigGpu, Gauge>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Base {
    gpus: GpuSet,
    details: DetailSet,
    migs: MigSet,
    /// The labels of XIDs that were counted.
    xids: Mutex<BTreeSet<[String; 3]>>,
}

impl Base {
    pub(super) fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self {
            gpus: GpuSet::register(scope)?,
            details: DetailSet::register(scope)?,
            migs: MigSet::register(scope)?,
            xids: Mutex::default(),
        })
    }

    /// Shows that the GPU is there, and what it is.
    pub(super) fn show_up(&self, of: &Identity, is_up: bool) {
        put(&self.details.up, &of.gpu, Some(is_up.into()));
        self.details.info.with_ref(&of.facts, |_| ());
    }

    pub(super) fn show(&self, of: &Identity, reading: &Reading) {
        self.gpus.show(&of.gpu, reading);
        self.show_details(of, Some(reading));
    }

    /// Shows nothing of the GPU but whether it is there.
    pub(super) fn clear(&self, of: &Identity) {
        self.gpus.clear(&of.gpu);
        self.show_details(of, None);
    }

    /// Shows nothing of it at all.
    pub(super) fn forget(&self, of: &Identity) {
        self.clear(of);
        self.details.up.remove(&of.gpu);
        self.details.info.remove(&of.facts);
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        xids.retain(|[gpu, uuid, xid]| {
            let ours = uuid == of.gpu.uuid.as_str();
            if ours {
                self.details.xid_errors_total.remove([gpu, uuid, xid]);
            }
            !ours
        });
    }

    /// Shows what a part of a GPU has, or nothing of it.
    pub(super) fn show_mig(&self, of: &MigIdentity, memory: Option<Memory>) {
        put(&self.migs.memory_size_bytes, &of.mig, memory.map(|memory| memory.total));
        put(&self.migs.memory_used_bytes, &of.mig, memory.map(|memory| memory.used));
        put(&self.migs.memory_free_bytes, &of.mig, memory.map(|memory| memory.free));
    }

    pub(super) fn show_process(&self, of: &Identity, process: &Process) {
        let memory = i64::try_from(process.memory).unwrap_or(i64::MAX);
        let (family, mut pid) = (&self.details.process_memory_used_bytes, itoa::Buffer::new());
        let Gpu { gpu, uuid } = &of.gpu;
        let labels = [gpu.as_str(), uuid.as_str(), pid.format(process.pid), process.kind];
        family.with_ref(labels, |gauge| gauge.set(memory));
    }

    pub(super) fn forget_process(&self, of: &Identity, process: &Process) {
        let (family, mut pid) = (&self.details.process_memory_used_bytes, itoa::Buffer::new());
        let Gpu { gpu, uuid } = &of.gpu;
        family.remove([gpu.as_str(), uuid.as_str(), pid.format(process.pid), process.kind]);
    }

    pub(super) fn count_xid(&self, of: &Identity, xid: u64) {
        let mut text = itoa::Buffer::new();
        let Gpu { gpu, uuid } = &of.gpu;
        let labels = [gpu.as_str(), uuid.as_str(), text.format(xid)];
        self.details.xid_errors_total.with_ref(labels, Counter::inc);
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        if xids.len() < MOST_XIDS {
            xids.insert(labels.map(str::to_owned));
        }
    }

    fn show_details(&self, of: &Identity, reading: Option<&Reading>) {
        let (details, gpu) = (&self.details, &of.gpu);
        for clock in Clock::ALL {
            let hertz = reading.and_then(|reading| reading.clocks[clock as usize]);
            put(&details.clock_hertz, &gpu.clock(clock), hertz);
        }
        let mask = reading.and_then(|reading| reading.throttle);
        for reason in ThrottleReason::ALL {
            let active = mask.map(|mask| u64::from(mask & reason.bit() != 0));
            put(&details.throttled, &gpu.reason(reason), active);
        }
        for policy in Policy::ALL {
            let time = reading.and_then(|reading| reading.throttled[policy as usize]);
            let seconds = time.map(|nanoseconds| nanoseconds as f64 / 1e9);
            put(&details.throttled_seconds_total, &gpu.policy(policy), seconds);
        }
        for error in Error::ALL {
            let (remapped, retired) = reading.map_or((None, None), |reading| {
                (reading.remapped[error as usize], reading.retired[error as usize])
            });
            put(&details.remapped_rows, &gpu.error(error), remapped);
            put(&details.retired_pages, &gpu.error(error), retired);
            for lifetime in Lifetime::ALL {
                let ecc = |reading: &Reading| reading.ecc[error as usize][lifetime as usize];
                let labels = gpu.counted(error, lifetime);
                put(&details.ecc_errors_total, &labels, reading.and_then(ecc));
            }
        }
    }
}

fn ratio(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn kilo(kilobytes: u64) -> u64 {
    kilobytes.saturating_mul(1000)
}
