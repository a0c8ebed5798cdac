//! GPUs: how busy, how full, how hot, how hungry; what slows them down, and what breaks.
//!
//! A [`GpuCollector`] samples NVIDIA's GPUs by NVML and AMD's by amdgpu's files, and shows them under
//! the names, labels and units of DCGM's exporter (`DCGM_FI_DEV_GPU_UTIL`), which dashboards know, and
//! under names of our own in base units (`gpu_utilization_ratio`, `gpu_memory_used_bytes`,
//! `gpu_energy_joules_total`), or under one of both.
//!
//! - **Nothing is sampled by a scrape.** Each GPU has a thread of its own, which may hang for as long
//!   as its driver does. A page that is gathered when it did not answer for a while has nothing of it
//!   but `gpu_up`; no second thread asks the same GPU meanwhile, and it is shown again when it answers
//!   again.
//! - **What a GPU cannot tell has no series.** What it should have told and did not, a GPU that fell off
//!   the bus, a driver or a library that is not there, each costs its own series, is counted in
//!   `dynamo_metrics_collect_errors_total{source="nvml"}` or `"amdgpu"`, and is tried again.
//!   `gpu_up` says which GPUs answered.
//! - **Labels are bounded**: they are what drivers tell, at most 128 values of each, and nothing that a
//!   client sends.
//!
//! Under DCGM's names all are gauges, what only goes up as well: OpenMetrics would have the names of
//! counters end in `_total`, and dashboards would not find them. Under our own, counters are counters; one
//! that its driver sets back starts anew.
//!
//! NVML is the driver's `libnvidia-ml.so.1`, of version 510 or later; it is loaded when it is there,
//! and not needed otherwise. Hopper and later also tell how busy their parts are
//! (`DCGM_FI_PROF_PIPE_TENSOR_ACTIVE`, `gpu_tensor_active_ratio`). With MIG, the memory of each part
//! is shown beside that of the whole.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//! use dynamo_metrics::collect::gpu::{GpuCollector, GpuNames, Missing};
//! use dynamo_metrics::registry::Registry;
//!
//! let registry = Registry::new();
//! let gpus = GpuCollector::new()
//!     .interval(Duration::from_millis(100))
//!     .names(GpuNames::Both)
//!     .missing(Missing::Ignored)
//!     .register(&registry)?;
//! // As long as `gpus` is there, the page has what GPUs this machine has.
//! drop(gpus);
//! # Ok::<(), dynamo_metrics::collect::gpu::GpuError>(())
//! ```

mod amdgpu;
mod base;
mod dcgm;
mod fault;
mod labels;
mod nvml;
mod pool;
mod reading;
mod shown;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::registry::catalogue::Known;
use crate::registry::{RegisterError, Scope};
use amdgpu::AmdDriver;
use nvml::NvmlDriver;
use pool::Pool;
use shown::Sets;

/// The sets of this module, for the catalogue.
pub(super) const SETS: &[Known] = &[
    Known::of::<base::GpuSet>(),
    Known::of::<base::DetailSet>(),
    Known::of::<base::MigSet>(),
    Known::of::<dcgm::DcgmSet>(),
    Known::of::<dcgm::DcgmProfileSet>(),
    Known::of::<dcgm::DcgmMigSet>(),
];

/// Longest name of a host that becomes a label, as in the domain name system.
const LONGEST_HOST: usize = 253;

/// Samples GPUs, once it is registered.
#[derive(Debug, Clone)]
#[must_use = "nothing is sampled until `register` is called"]
pub struct GpuCollector {
    interval: Duration,
    patience: Duration,
    retry: Duration,
    names: GpuNames,
    missing: Missing,
    host: Option<String>,
    host_label: HostLabel,
    lib_path: Option<PathBuf>,
    sysfs: PathBuf,
}

/// Under which names GPUs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuNames {
    /// Those of DCGM's exporter: `DCGM_FI_DEV_GPU_UTIL`.
    Dcgm,
    /// Our own, in base units: `gpu_utilization_ratio`.
    Base,
    /// Both.
    Both,
}

/// What becomes of a library or a driver that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is an error: it is counted, each time that it is looked for.
    Counted,
    /// It is not, since the machine may have no GPU: the log says so once, for who debugs.
    Ignored,
}

/// What the label of the host is called, in the metrics of DCGM's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostLabel {
    /// `hostname`, as in newer releases of DCGM's exporter.
    Lower,
    /// `Hostname`, as in older ones, and as some of its readers want it.
    Upper,
}

/// Why GPUs are not sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// A metric could not be registered.
    #[error("cannot register the metrics of GPUs")]
    Register(#[from] RegisterError),
    /// The interval, the patience or the time between two tries is zero.
    #[error("a time of the GPU collector is zero")]
    ZeroTime,
    /// The system gave no thread.
    #[error("no thread to look for GPUs")]
    Thread(#[from] std::io::Error),
}

/// GPUs that are sampled until this is dropped; then their series go.
#[derive(Debug)]
#[must_use = "GPUs are sampled until this is dropped"]
pub struct Gpus {
    pool: Arc<Pool>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    interval: Duration,
    patience: Duration,
    retry: Duration,
}

impl GpuCollector {
    /// Starts with the default choices.
    pub fn new() -> Self {
        Self {
            interval: Duration::from_secs(1),
            patience: Duration::from_secs(10),
            retry: Duration::from_secs(10),
            names: GpuNames::Both,
            missing: Missing::Counted,
            host: None,
            host_label: HostLabel::Lower,
            lib_path: None,
            sysfs: PathBuf::from("/sys"),
        }
    }

    /// Samples each GPU as often as this (default: each second). What changes slowly or takes the
    /// driver long (errors, processes, PCIe throughput, MIG) is sampled once a second at most.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Gives a driver this long to answer, before its GPU is shown as one that does not (default:
    /// 10 s).
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Looks for libraries and GPUs that are not there as often as this (default: every 10 s).
    pub fn retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    /// Shows GPUs under these names (default: both).
    pub fn names(mut self, names: GpuNames) -> Self {
        self.names = names;
        self
    }

    /// What becomes of a library or a driver that is not there (default: it is counted).
    pub fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    /// What the host is called, where DCGM's names have a label for it (default: as DCGM's exporter has
    /// it, the environment's `NODE_NAME`, or else the kernel's name of the host).
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// What the label of the host is called (default: `hostname`).
    pub fn host_label(mut self, host_label: HostLabel) -> Self {
        self.host_label = host_label;
        self
    }

    /// Where NVML is (default: where the system finds `libnvidia-ml.so.1`).
    pub fn lib_path(mut self, lib_path: impl Into<PathBuf>) -> Self {
        self.lib_path = Some(lib_path.into());
        self
    }

    /// Where sysfs is (default: `/sys`).
    pub fn sysfs(mut self, sysfs: impl Into<PathBuf>) -> Self {
        self.sysfs = sysfs.into();
        self
    }

    /// Registers the metrics of GPUs in `scope`, and samples GPUs from now on, in the background.
    ///
    /// # Cost
    /// A thread to look for GPUs of each maker, one for each GPU, and one more for each of NVIDIA's,
    /// which waits for critical errors. A sample takes what the driver takes, and a look-up for each
    /// value.
    ///
    /// # Errors
    /// [`GpuError::Register`] if a name is taken, [`GpuError::ZeroTime`] if a time is zero,
    /// [`GpuError::Thread`] if the system gives no thread.
    pub fn register(self, scope: &Scope) -> Result<Gpus, GpuError> {
        let Self { interval, patience, retry, .. } = self;
        if [interval, patience, retry].contains(&Duration::ZERO) {
            return Err(GpuError::ZeroTime);
        }
        let host = self.host.unwrap_or_else(host_name);
        let host = host.get(..floor(&host, LONGEST_HOST)).unwrap_or_default();
        let label = match self.host_label {
            HostLabel::Lower => "hostname",
            HostLabel::Upper => "Hostname",
        };
        let labels: &[_] = if host.is_empty() { &[] } else { &[(label, host)] };
        let sets = Sets::register(scope, self.names, labels)?;
        let times = Times { interval, patience, retry };
        let gpus = Gpus { pool: Pool::new(scope, sets, times, self.missing) };
        gpus.pool.find(NvmlDriver::new(self.lib_path))?;
        gpus.pool.find(AmdDriver::new(self.sysfs))?;
        let pool = Arc::downgrade(&gpus.pool);
        scope.add_update_callback(move || {
            if let Some(pool) = pool.upgrade() {
                pool.check();
            }
        });
        Ok(gpus)
    }
}

impl Default for GpuCollector {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Gpus {
    fn drop(&mut self) {
        self.pool.stop();
    }
}

/// What the host is called.
fn host_name() -> String {
    let node = std::env::var("NODE_NAME").ok().filter(|node| !node.is_empty());
    node.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|name| name.trim().to_owned())
        .unwrap_or_default()
}

/// The end of the longest piece of `text` with at most `most` bytes.
fn floor(text: &str, most: usize) -> usize {
    (0..=most.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or_default()
}
