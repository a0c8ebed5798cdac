//! Metrics under the names of DCGM's exporter, for the dashboards that know them.

use super::labels::{DcgmGpu, DcgmMig, Identity, MigIdentity};
use super::reading::{Clock, Error, Lifetime, Memory, Policy, Profiled, Reading};
use super::table::{find, put, table};
use crate::metric::{FloatGauge, Gauge};
use crate::registry::{Family, MetricSet, RegisterError, Scope};

table! {
    /// GPUs under the names, labels and units of DCGM's exporter.
    ///
    /// All are gauges: OpenMetrics would have the names of counters end in `_total`, and dashboards
    /// would not find them.
    ///
    /// # Source
    /// The driver of the GPU, sampled in the background: NVML, or amdgpu's files.
    #[expect(non_snake_case, reason = "named as DCGM names its fields")]
    #[metric_set(fixed_prefix = "DCGM_FI_DEV", name = "DcgmGpuMetrics")]
    struct DcgmSet of DcgmGpu {
        /// SM clock frequency (in MHz).
        SM_CLOCK: Gauge = |r| r.clocks[Clock::Sm as usize].map(mega),
        /// Memory clock frequency (in MHz).
        MEM_CLOCK: Gauge = |r| r.clocks[Clock::Memory as usize].map(mega),
        /// GPU temperature (in C).
        GPU_TEMP: FloatGauge = |r| r.temperature,
        /// Memory temperature (in C).
        MEMORY_TEMP: FloatGauge = |r| r.memory_temperature,
        /// Power draw (in W).
        POWER_USAGE: FloatGauge = |r| r.power,
        /// Power that the GPU may draw (in W).
        POWER_MGMT_LIMIT: FloatGauge = |r| r.power_limit,
        /// Total energy consumption since the driver was loaded (in mJ).
        TOTAL_ENERGY_CONSUMPTION: Gauge = |r| r.energy,
        /// GPU utilization (in %).
        GPU_UTIL: Gauge = |r| r.utilization.map(u64::from),
        /// Time in which memory was read or written (in %).
        MEM_COPY_UTIL: Gauge = |r| r.memory_utilization.map(u64::from),
        /// Encoder utilization (in %).
        ENC_UTIL: Gauge = |r| r.encoder_utilization.map(u64::from),
        /// Decoder utilization (in %).
        DEC_UTIL: Gauge = |r| r.decoder_utilization.map(u64::from),
        /// Fan speed (in % of the highest).
        FAN_SPEED: FloatGauge = |r| r.fan,
        /// Framebuffer memory (in MiB).
        FB_TOTAL: Gauge = |r| r.memory.map(|memory| mebi(memory.total)),
        /// Framebuffer memory free (in MiB).
        FB_FREE: Gauge = |r| r.memory.map(|memory| mebi(memory.free)),
        /// Framebuffer memory used (in MiB).
        FB_USED: Gauge = |r| r.memory.map(|memory| mebi(memory.used)),
        /// Framebuffer memory reserved (in MiB).
        FB_RESERVED: Gauge = |r| r.memory.and_then(|memory| memory.reserved).map(mebi),
        /// Value of the last XID error encountered; 0 if there was none since sampling began.
        XID_ERRORS: Gauge = |r| r.last_xid,
        /// What keeps clocks down, as NVML's mask.
        CLOCK_THROTTLE_REASONS: Gauge = |r| r.throttle,
        /// Throttling duration due to power constraints (in ns).
        POWER_VIOLATION: Gauge = |r| r.throttled[Policy::Power as usize],
        /// Throttling duration due to thermal constraints (in ns).
        THERMAL_VIOLATION: Gauge = |r| r.throttled[Policy::Thermal as usize],
        /// Throttling duration due to sync-boost constraints (in ns).
        SYNC_BOOST_VIOLATION: Gauge = |r| r.throttled[Policy::SyncBoost as usize],
        /// Throttling duration due to board limit constraints (in ns).
        BOARD_LIMIT_VIOLATION: Gauge = |r| r.throttled[Policy::BoardLimit as usize],
        /// Throttling duration due to low utilization (in ns).
        LOW_UTIL_VIOLATION: Gauge = |r| r.throttled[Policy::LowUtilization as usize],
        /// Throttling duration due to reliability constraints (in ns).
        RELIABILITY_VIOLATION: Gauge = |r| r.throttled[Policy::Reliability as usize],
        /// Total number of PCIe retries.
        PCIE_REPLAY_COUNTER: Gauge = |r| r.pcie.replays,
        /// PCIe link generation.
        PCIE_LINK_GEN: Gauge = |r| r.pcie.generation.map(u64::from),
        /// PCIe link width (in lanes).
        PCIE_LINK_WIDTH: Gauge = |r| r.pcie.lanes.map(u64::from),
        /// PCIe transmit throughput (in KB/s).
        PCIE_TX_THROUGHPUT: Gauge = |r| r.pcie.send_rate,
        /// PCIe receive throughput (in KB/s).
        PCIE_RX_THROUGHPUT: Gauge = |r| r.pcie.receive_rate,
        /// Total number of single-bit volatile ECC errors.
        ECC_SBE_VOL_TOTAL: Gauge = |r| ecc(r, Error::Corrected, Lifetime::Volatile),
        /// Total number of double-bit volatile ECC errors.
        ECC_DBE_VOL_TOTAL: Gauge = |r| ecc(r, Error::Uncorrected, Lifetime::Volatile),
        /// Total number of single-bit persistent ECC errors.
        ECC_SBE_AGG_TOTAL: Gauge = |r| ecc(r, Error::Corrected, Lifetime::Aggregate),
        /// Total number of double-bit persistent ECC errors.
        ECC_DBE_AGG_TOTAL: Gauge = |r| ecc(r, Error::Uncorrected, Lifetime::Aggregate),
        /// Total number of pages retired due to single-bit errors.
        RETIRED_SBE: Gauge = |r| r.retired[Error::Corrected as usize],
        /// Total number of pages retired due to double-bit errors.
        RETIRED_DBE: Gauge = |r| r.retired[Error::Uncorrected as usize],
        /// Whether pages are pending retirement.
        RETIRED_PENDING: Gauge = |r| r.retirement_pending.map(u64::from),
        /// Number of remapped rows for correctable errors.
        CORRECTABLE_REMAPPED_ROWS: Gauge = |r| r.remapped[Error::Corrected as usize],
        /// Number of remapped rows for uncorrectable errors.
        UNCORRECTABLE_REMAPPED_ROWS: Gauge = |r| r.remapped[Error::Uncorrected as usize],
        /// Whether remapping of rows has failed.
        ROW_REMAP_FAILURE: Gauge = |r| r.remapping_failed.map(u64::from),
    }
}

table! {
    /// How busy parts of GPUs are, under the names, labels and units of DCGM's exporter.
    ///
    /// # Source
    /// NVML's counters (GPM) of Hopper and later, as means of a second.
    #[expect(non_snake_case, reason = "named as DCGM names its fields")]
    #[metric_set(fixed_prefix = "DCGM_FI_PROF", name = "DcgmProfilingMetrics")]
    struct DcgmProfileSet of DcgmGpu {
        /// Ratio of time the graphics engine is active.
        GR_ENGINE_ACTIVE: FloatGauge = |r| r.profiled(Profiled::Graphics),
        /// Ratio of cycles an SM has at least 1 warp assigned.
        SM_ACTIVE: FloatGauge = |r| r.profiled(Profiled::Sm),
        /// Ratio of number of warps resident on an SM.
        SM_OCCUPANCY: FloatGauge = |r| r.profiled(Profiled::Occupancy),
        /// Ratio of cycles the tensor pipe is active.
        PIPE_TENSOR_ACTIVE: FloatGauge = |r| r.profiled(Profiled::Tensor),
        /// Ratio of cycles the device memory interface is active sending or receiving data.
        DRAM_ACTIVE: FloatGauge = |r| r.profiled(Profiled::Dram),
        /// Rate of data transmitted over PCIe (in bytes per second).
        PCIE_TX_BYTES: FloatGauge = |r| r.profiled(Profiled::PcieSend),
        /// Rate of data received over PCIe (in bytes per second).
        PCIE_RX_BYTES: FloatGauge = |r| r.profiled(Profiled::PcieReceive),
        /// Rate of data transmitted over NVLink (in bytes per second).
        NVLINK_TX_BYTES: FloatGauge = |r| r.profiled(Profiled::NvlinkSend),
        /// Rate of data received over NVLink (in bytes per second).
        NVLINK_RX_BYTES: FloatGauge = |r| r.profiled(Profiled::NvlinkReceive),
    }
}

/// Parts of GPUs (MIG) under the names, labels and units of DCGM's exporter.
///
/// # Source
/// NVML, sampled in the background.
#[derive(Debug, MetricSet)]
#[expect(non_snake_case, clippy::struct_field_names, reason = "named as DCGM names its fields")]
#[metric_set(fixed_prefix = "DCGM_FI_DEV", name = "DcgmMigMetrics")]
pub(super) struct DcgmMigSet {
    /// Framebuffer memory (in MiB).
    FB_TOTAL: Family<DcgmMig, Gauge>,
    /// Framebuffer memory free (in MiB).
    FB_FREE: Family<DcgmMig, Gauge>,
    /// Framebuffer memory used (in MiB).
    FB_USED: Family<DcgmMig, Gauge>,
    /// Framebuffer memory reserved (in MiB).
    FB_RESERVED: Family<DcgmMig, Gauge>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Dcgm {
    gpus: DcgmSet,
    profiles: DcgmProfileSet,
    migs: DcgmMigSet,
}

impl Dcgm {
    /// Registers them; `host` is a label of all.
    pub(super) fn register(scope: &Scope, host: &[(&str, &str)]) -> Result<Self, RegisterError> {
        Ok(Self {
            gpus: DcgmSet::register_with(scope, host)?,
            profiles: DcgmProfileSet::register_with(scope, host)?,
            migs: DcgmMigSet::register_with(scope, host)?,
        })
    }

    pub(super) fn show(&self, of: &Identity, reading: &Reading) {
        self.gpus.show(&of.dcgm, reading);
        self.profiles.show(&of.dcgm, reading);
    }

    pub(super) fn clear(&self, of: &Identity) {
        self.gpus.clear(&of.dcgm);
        self.profiles.clear(&of.dcgm);
    }

    /// Shows what a part of a GPU has, or nothing of it.
    pub(super) fn show_mig(&self, of: &MigIdentity, memory: Option<Memory>) {
        let (migs, labels) = (&self.migs, &of.dcgm);
        put(&migs.FB_TOTAL, labels, memory.map(|memory| mebi(memory.total)));
        put(&migs.FB_FREE, labels, memory.map(|memory| mebi(memory.free)));
        put(&migs.FB_USED, labels, memory.map(|memory| mebi(memory.used)));
        put(&migs.FB_RESERVED, labels, memory.and_then(|memory| memory.reserved).map(mebi));
    }
}

fn mega(hertz: u64) -> u64 {
    hertz / 1_000_000
}

fn mebi(bytes: u64) -> u64 {
    bytes >> 20
}

fn ecc(reading: &Reading, error: Error, lifetime: Lifetime) -> Option<u64> {
    reading.ecc[error as usize][lifetime as usize]
}
