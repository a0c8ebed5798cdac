//! What memory is used for.

use std::sync::Arc;

use super::{Part, Tree};
use crate::collect::error::CollectError;
use crate::collect::files::{line, number};
use crate::collect::told::{One, tell};
use crate::metric::FloatGauge;
use crate::registry::MetricSet;

const MEMINFO: &str = "proc/meminfo";

/// Memory of the machine, under the kernel's own words for its uses.
///
/// # Source
/// `/proc/meminfo`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostMemory", fixed_prefix = "node_memory")]
pub(super) struct MemorySet {
    /// RAM that can be used at all.
    #[metric(name = "MemTotal_bytes", unit = bytes)]
    total: One<FloatGauge>,
    /// RAM that nothing is in.
    #[metric(name = "MemFree_bytes", unit = bytes)]
    free: One<FloatGauge>,
    /// RAM that programs could have without swapping, as the kernel estimates.
    #[metric(name = "MemAvailable_bytes", unit = bytes)]
    available: One<FloatGauge>,
    /// RAM of raw blocks of disks.
    #[metric(name = "Buffers_bytes", unit = bytes)]
    buffers: One<FloatGauge>,
    /// RAM of pages of files.
    #[metric(name = "Cached_bytes", unit = bytes)]
    cached: One<FloatGauge>,
    /// RAM whose contents are in swap as well.
    #[metric(name = "SwapCached_bytes", unit = bytes)]
    swap_cached: One<FloatGauge>,
    /// Swap that there is.
    #[metric(name = "SwapTotal_bytes", unit = bytes)]
    swap_total: One<FloatGauge>,
    /// Swap that nothing is in.
    #[metric(name = "SwapFree_bytes", unit = bytes)]
    swap_free: One<FloatGauge>,
    /// RAM that was used lately.
    #[metric(name = "Active_bytes", unit = bytes)]
    active: One<FloatGauge>,
    /// RAM that was not used lately.
    #[metric(name = "Inactive_bytes", unit = bytes)]
    inactive: One<FloatGauge>,
    /// RAM that is to be written to disks.
    #[metric(name = "Dirty_bytes", unit = bytes)]
    dirty: One<FloatGauge>,
    /// RAM that is being written to disks.
    #[metric(name = "Writeback_bytes", unit = bytes)]
    writeback: One<FloatGauge>,
    /// RAM of programs that no file is behind.
    #[metric(name = "AnonPages_bytes", unit = bytes)]
    anonymous: One<FloatGauge>,
    /// RAM of programs that no file is behind, in huge pages.
    #[metric(name = "AnonHugePages_bytes", unit = bytes)]
    anonymous_huge: One<FloatGauge>,
    /// RAM of files that programs mapped.
    #[metric(name = "Mapped_bytes", unit = bytes)]
    mapped: One<FloatGauge>,
    /// RAM that is shared, and of file systems in RAM.
    #[metric(name = "Shmem_bytes", unit = bytes)]
    shared: One<FloatGauge>,
    /// RAM of the kernel's own objects.
    #[metric(name = "Slab_bytes", unit = bytes)]
    slab: One<FloatGauge>,
    /// RAM of the kernel's own objects that it could give back.
    #[metric(name = "SReclaimable_bytes", unit = bytes)]
    reclaimable: One<FloatGauge>,
    /// RAM that is never swapped.
    #[metric(name = "Unevictable_bytes", unit = bytes)]
    unevictable: One<FloatGauge>,
    /// RAM that is locked by programs.
    #[metric(name = "Mlocked_bytes", unit = bytes)]
    locked: One<FloatGauge>,
    /// RAM of tables of pages.
    #[metric(name = "PageTables_bytes", unit = bytes)]
    page_tables: One<FloatGauge>,
    /// Memory that was promised to programs.
    #[metric(name = "Committed_AS_bytes", unit = bytes)]
    committed: One<FloatGauge>,
    /// Most memory that may be promised, where that is limited.
    #[metric(name = "CommitLimit_bytes", unit = bytes)]
    commit_limit: One<FloatGauge>,
    /// Huge pages that were set aside.
    #[metric(name = "HugePages_Total")]
    huge_pages: One<FloatGauge>,
    /// Huge pages that were set aside, and are not used.
    #[metric(name = "HugePages_Free")]
    huge_pages_free: One<FloatGauge>,
    /// The size of a huge page that is set aside.
    #[metric(name = "Hugepagesize_bytes", unit = bytes)]
    huge_page_size: One<FloatGauge>,
}

pub(super) struct Memory {
    set: Arc<MemorySet>,
}

impl Memory {
    pub(super) fn new(set: Arc<MemorySet>) -> Self {
        Self { set }
    }
}

impl Part for Memory {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError> {
        let (text, result) = match tree.read(MEMINFO) {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        for (key, gauge) in self.set.keys() {
            tell(gauge, bytes(&text, key));
        }
        result?;
        bytes(&text, "MemTotal:").map(drop).ok_or_else(|| tree.missing(MEMINFO, "MemTotal"))
    }
}

impl MemorySet {
    /// Each with the kernel's word for it.
    fn keys(&self) -> [(&'static str, &One<FloatGauge>); 26] {
        [
            ("MemTotal:", &self.total),
            ("MemFree:", &self.free),
            ("MemAvailable:", &self.available),
            ("Buffers:", &self.buffers),
            ("Cached:", &self.cached),
            ("SwapCached:", &self.swap_cached),
            ("SwapTotal:", &self.swap_total),
            ("SwapFree:", &self.swap_free),
            ("Active:", &self.active),
            ("Inactive:", &self.inactive),
            ("Dirty:", &self.dirty),
            ("Writeback:", &self.writeback),
            ("AnonPages:", &self.anonymous),
            ("AnonHugePages:", &self.anonymous_huge),
            ("Mapped:", &self.mapped),
            ("Shmem:", &self.shared),
            ("Slab:", &self.slab),
            ("SReclaimable:", &self.reclaimable),
            ("Unevictable:", &self.unevictable),
            ("Mlocked:", &self.locked),
            ("PageTables:", &self.page_tables),
            ("Committed_AS:", &self.committed),
            ("CommitLimit:", &self.commit_limit),
            ("HugePages_Total:", &self.huge_pages),
            ("HugePages_Free:", &self.huge_pages_free),
            ("Hugepagesize:", &self.huge_page_size),
        ]
    }
}

/// What is said of `key`, in bytes if it has the kernel's unit, of which there is only one.
fn bytes(text: &str, key: &str) -> Option<f64> {
    let rest = line(text, key)?;
    match rest.strip_suffix(" kB") {
        Some(kibibytes) => number(kibibytes.trim()).map(|kibibytes| kibibytes * 1024.0),
        None => number(rest),
    }
}
