//! What the machine does: the node row of a dashboard.

mod cpu;
mod devices;
mod disk;
mod filesystem;
mod links;
mod machine;
mod memory;
mod network;
mod tree;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::aside::Aside;
use super::error::CollectError;
use super::told::{One, tell};
use crate::metric::FloatGauge;
use crate::registry::catalogue::Known;
use crate::registry::{MetricSet, RegisterError, Scope};
use filesystem::Filesystems;
use tree::Tree;

/// What the names of all sets start with.
const PREFIX: &str = "node";

pub(crate) const SETS: &[Known] = &[Known::of::<HostSet>(), Known::of::<AgeSet>()];

/// Whether the system has the files that are read.
const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// What the machine does, under the names of Prometheus's `node_exporter`: processors, load, memory,
/// disks, networks, file systems, pressure.
///
/// It is for who has no `node_exporter` beside the service, or wants to see both in one page. One of
/// them is enough: each process of a machine that has this collector tells the same.
///
/// # Source
/// Linux's `/proc` and `/sys`, and `statvfs` for file systems; on other systems nothing. Partitions,
/// loop devices and RAM disks are left out, and so are file systems that are none (`proc`, `overlay` and
/// their like). At most 1 024 processors, 512 network devices, 256 disks and 256 mount points are shown; more
/// are counted as an error. A file system that does not answer for five seconds, a dead NFS mount
/// say, has `node_filesystem_device_error` 1, and no other. A network device that does not is shown
/// without its state and speed.
/// # Cost
/// About 0.2 ms at each gather, most of it the kernel's; more on machines with hundreds of processors.
/// File systems and network links are asked in threads of their own, each of which a scrape waits for 0.1 s
/// at most. Where somebody gathers in a thread that runs futures, all is read apart, and what is shown is
/// from the gather before. `dynamo_metrics_host_kernel_age_seconds` and
/// `dynamo_metrics_host_filesystem_age_seconds` say how old it is.
///
/// # Examples
/// ```
/// use dynamo_metrics::{collect::HostCollector, encode, registry::Registry};
///
/// let registry = Registry::new();
/// HostCollector::register(&registry)?;
/// # #[cfg(target_os = "linux")]
/// assert!(encode::text(&registry).contains("\nnode_memory_MemTotal_bytes "));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct HostCollector(#[expect(dead_code, reason = "for those who debug")] Arc<Parts>);

/// The choices of a [`HostCollector`].
#[derive(Debug, Clone)]
#[must_use = "nothing is registered until `register` is called"]
pub struct HostBuilder {
    root: PathBuf,
}

/// What the machine does.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostCollector", fixed_prefix = PREFIX)]
struct HostSet {
    #[metric(flatten)]
    cpu: Arc<cpu::CpuSet>,
    #[metric(flatten)]
    machine: Arc<machine::MachineSet>,
    #[metric(flatten)]
    memory: Arc<memory::MemorySet>,
    #[metric(flatten)]
    disk: Arc<disk::DiskSet>,
    #[metric(flatten)]
    network: Arc<network::NetworkSet>,
    #[metric(flatten)]
    filesystem: Arc<filesystem::FilesystemSet>,
}

/// How old the values of the machine are.
///
/// # Source
/// The clock, when the registry is gathered.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostAge", fixed_prefix = "dynamo_metrics_host")]
struct AgeSet {
    /// Time since processors, memory, disks and networks were read.
    #[metric(name = "kernel_age_seconds", unit = seconds)]
    kernel: One<FloatGauge>,
    /// Time since file systems were asked.
    #[metric(name = "filesystem_age_seconds", unit = seconds)]
    filesystem: One<FloatGauge>,
}

struct Parts {
    kernel: Aside,
    filesystems: Aside,
    age: AgeSet,
}

/// Something that is read out of the kernel's files. What cannot be read is not shown.
trait Part: Send {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError>;
}

impl HostCollector {
    /// Registers the collector in `scope`, mostly a registry, for as long as that is there.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Self::builder().register(scope)
    }

    /// The same, with choices.
    pub fn builder() -> HostBuilder {
        HostBuilder { root: PathBuf::from("/") }
    }
}

impl HostBuilder {
    /// Where the machine's file system is (default: `/`). In a container that is to tell of its
    /// host, this is where the host's `/` is mounted.
    pub fn root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// Registers the collector in `scope`.
    ///
    /// # Errors
    /// As [`HostCollector::register`].
    pub fn register(self, scope: &Scope) -> Result<HostCollector, RegisterError> {
        let set = HostSet::register(scope)?;
        let tree = Tree::new(self.root);
        let parts: Vec<Box<dyn Part>> = vec![
            Box::new(cpu::Cpu::new(set.cpu)),
            Box::new(machine::Machine::new(set.machine)),
            Box::new(memory::Memory::new(set.memory)),
            Box::new(disk::Disks::new(set.disk)),
            Box::new(network::Networks::new(set.network, tree.clone())),
        ];
        let filesystems = Filesystems::new(set.filesystem, tree.clone());
        let kernel = kernel(parts, tree);
        let filesystems = Aside::new(move |turn| filesystems.read(turn));
        let parts = Arc::new(Parts { kernel, filesystems, age: AgeSet::register(scope)? });
        if IS_LINUX {
            // So that who gathers where nothing can be waited for has values from the start; what is
            // wrong is told when somebody gathers.
            parts.kernel.read_now();
            let _ = parts.filesystems.start();
            let of = Arc::clone(&parts);
            scope.add_refresh("host", move || of.refresh().map_err(Into::into));
        }
        Ok(HostCollector(parts))
    }
}

/// All parts that are read one after another.
fn kernel(parts: Vec<Box<dyn Part>>, tree: Tree) -> Aside {
    let parts = Mutex::new(parts);
    Aside::new(move |_| {
        let mut parts = parts.lock().unwrap_or_else(PoisonError::into_inner);
        CollectError::all(parts.iter_mut().map(|part| part.read(&tree)))
    })
}

impl Parts {
    fn refresh(&self) -> Result<(), CollectError> {
        // File systems are asked while the rest is read.
        let started = self.filesystems.start();
        let kernel = self.kernel.refresh_here();
        let filesystems = started.and_then(|started| self.filesystems.finish(&started));
        let seconds = |aside: &Aside| aside.age().map(|age| age.as_secs_f64());
        tell(&self.age.kernel, seconds(&self.kernel));
        tell(&self.age.filesystem, seconds(&self.filesystems));
        CollectError::all([kernel, filesystems])
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("kernel", &self.kernel)
            .field("filesystems", &self.filesystems)
            .finish_non_exhaustive()
    }
}
