//! Collectors: what the process, its host, its runtime and its allocator use, read when somebody
//! gathers.
//!
//! | collector | feature | tells |
//! |---|---|---|
//! | `ProcessCollector` | `process` (default) | `process_*`: processor, memory, descriptors, threads |
//! | `HostCollector` | `host` | `node_*`: processors, load, memory, disks, networks, file systems |
//! | `TokioCollector` | `tokio` | `tokio_*`: tasks, queues, workers |
//! | `AllocatorCollector` | `allocator` | `allocator_*`: what a `CountingAllocator` counted |
//! | `gpu::GpuCollector` | `gpu` | `DCGM_FI_DEV_*`, `gpu_*`: NVIDIA's and AMD's GPUs, sampled in the background |
//!
//! Names are the ones that everybody knows, whatever prefix a scope has; the scope's labels are added.
//! So a collector is mostly registered at the registry itself, which has none, or only `worker_id`.
//!
//! # Source
//! Each is asked as an [update callback](crate::registry::Scope::add_update_callback) is: by the exporter
//! in a thread that may block, and never twice at once. What may hang is read in a thread of its own,
//! with a deadline, and how old the last values are is told beside them. A collector that fails shows
//! what it has and leaves the rest out, is counted in
//! `dynamo_metrics_collect_errors_total{source="process"}` and the like, and is asked again at the next
//! gather.
//!
//! # Cost
//! Nothing between two gathers. Labels are of cores, devices and mount points, at most so many of
//! each; their series go when they do.
//!
//! # Examples
//! ```
//! # #[cfg(feature = "process")]
//! # fn main() -> Result<(), dynamo_metrics::registry::RegisterError> {
//! use dynamo_metrics::{collect::ProcessCollector, encode, registry::Registry};
//!
//! let registry = Registry::new();
//! ProcessCollector::register(&registry)?;
//! # #[cfg(unix)]
//! assert!(encode::text(&registry).contains("\nprocess_cpu_seconds_total "));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "process"))]
//! # fn main() {}
//! ```

#[cfg(feature = "allocator")]
mod allocator;
#[cfg(feature = "host")]
mod aside;
#[cfg(any(feature = "host", feature = "process"))]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, reason = "other systems have no such files")
)]
mod error;
#[cfg(any(feature = "host", feature = "process"))]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android")),
    allow(dead_code, reason = "other systems have no such files")
)]
mod files;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "host")]
mod host;
#[cfg(feature = "process")]
mod process;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(any(feature = "allocator", feature = "host", feature = "process", feature = "tokio"))]
mod told;

#[cfg(feature = "allocator")]
pub use allocator::{AllocatorCollector, CountingAllocator};
#[cfg(feature = "host")]
pub use host::{HostBuilder, HostCollector};
#[cfg(feature = "process")]
pub use process::ProcessCollector;
#[cfg(feature = "tokio")]
pub use runtime::{TokioBuilder, TokioCollector};

use crate::registry::catalogue::Known;

/// The sets of each collector.
pub(crate) const SETS: &[&[Known]] = &[
    #[cfg(feature = "process")]
    process::SETS,
    #[cfg(feature = "gpu")]
    gpu::SETS,
    #[cfg(feature = "host")]
    host::SETS,
    #[cfg(feature = "tokio")]
    runtime::SETS,
    #[cfg(feature = "allocator")]
    allocator::SETS,
];
