//! Dynamo's block manager: blocks of the KV cache that move between memories.

use std::sync::Arc;

use super::registered_in;
use crate::label::LabelValue;
use crate::llm::window::HitRate;
use crate::metric::{Counter, FloatGauge};
use crate::registry::{Lazy, MetricSet};

/// The block manager of the KV cache, under the prefix `kvbm`.
///
/// The counters have no `_total`, as Dynamo's have none. The hit rates are those of the last 1 000
/// requests; each is there from the first look-up on.
///
/// # Unit
/// Blocks and tokens; rates from 0 to 1.
/// # Source
/// The block manager, where blocks are moved and looked up.
/// # Cost
/// An addition; a look-up, two atomic exchanges and a store as well.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{KvOffload, KvTier, KvbmMetrics};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let kvbm = KvbmMetrics::register(&registry)?;
/// kvbm.offloaded(KvOffload::DeviceToHost, 16);
/// kvbm.looked_up(KvTier::Host, 3, 4);
/// let text = encode::text(&registry);
/// assert!(text.contains("kvbm_offload_blocks_d2h 16\n"));
/// assert!(text.contains("kvbm_host_cache_hit_rate 0.75\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, MetricSet)]
pub struct KvbmMetrics(Arc<KvbmSet>);

/// The block manager of the KV cache.
///
/// # Source
/// The block manager, where blocks are moved and looked up.
#[derive(Debug, MetricSet)]
#[metric_set(name = "KvbmMetrics", prefix = "kvbm")]
struct KvbmSet {
    /// Blocks that went from the device to the host.
    offload_blocks_d2h: Counter,
    /// Blocks that went from the host to the disk.
    offload_blocks_h2d: Counter,
    /// Blocks that went from the device to the disk.
    offload_blocks_d2d: Counter,
    /// Blocks that went from the device to an object store.
    offload_blocks_d2o: Counter,
    /// Blocks that came from the host to the device.
    onboard_blocks_h2d: Counter,
    /// Blocks that came from the disk to the device.
    onboard_blocks_d2d: Counter,
    /// Blocks that came from an object store to the device.
    onboard_blocks_o2d: Counter,
    /// Tokens of prompts whose blocks were there.
    matched_tokens: Counter,
    /// Reads of an object store that failed.
    object_read_failures: Counter,
    /// Writes to an object store that failed.
    object_write_failures: Counter,
    /// Share of the blocks that were found on the host, over the last requests.
    host_cache_hit_rate: Lazy<FloatGauge>,
    /// Share of the blocks that were found on the disk, over the last requests.
    disk_cache_hit_rate: Lazy<FloatGauge>,
    /// Share of the blocks that were found in an object store, over the last requests.
    object_cache_hit_rate: Lazy<FloatGauge>,
    #[metric(skip)]
    windows: [HitRate; 3],
}

registered_in!(KvbmMetrics, "kvbm");

/// Where blocks go that the device has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum KvOffload {
    /// From the device to the host (`d2h`).
    DeviceToHost,
    /// From the host to the disk (`h2d`).
    HostToDisk,
    /// From the device to the disk (`d2d`).
    DeviceToDisk,
    /// From the device to an object store (`d2o`).
    DeviceToObject,
}

/// Where blocks come from that the device needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum KvOnboard {
    /// From the host to the device (`h2d`).
    HostToDevice,
    /// From the disk to the device (`d2d`).
    DiskToDevice,
    /// From an object store to the device (`o2d`).
    ObjectToDevice,
}

/// A memory that holds blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum KvTier {
    /// The host's.
    Host,
    /// The disk.
    Disk,
    /// An object store.
    Object,
}

impl KvbmMetrics {
    /// So many blocks went away from the device, or further away.
    pub fn offloaded(&self, way: KvOffload, blocks: u64) {
        let counter = match way {
            KvOffload::DeviceToHost => &self.0.offload_blocks_d2h,
            KvOffload::HostToDisk => &self.0.offload_blocks_h2d,
            KvOffload::DeviceToDisk => &self.0.offload_blocks_d2d,
            KvOffload::DeviceToObject => &self.0.offload_blocks_d2o,
        };
        counter.inc_by(blocks);
    }

    /// So many blocks came to the device.
    pub fn onboarded(&self, way: KvOnboard, blocks: u64) {
        let counter = match way {
            KvOnboard::HostToDevice => &self.0.onboard_blocks_h2d,
            KvOnboard::DiskToDevice => &self.0.onboard_blocks_d2d,
            KvOnboard::ObjectToDevice => &self.0.onboard_blocks_o2d,
        };
        counter.inc_by(blocks);
    }

    /// So many tokens of a prompt were there.
    pub fn matched_tokens(&self, tokens: u64) {
        self.0.matched_tokens.inc_by(tokens);
    }

    /// A request looked up so many blocks in a memory, of which so many were there.
    pub fn looked_up(&self, tier: KvTier, hits: u64, blocks: u64) {
        let (window, gauge) = match tier {
            KvTier::Host => (&self.0.windows[0], &self.0.host_cache_hit_rate),
            KvTier::Disk => (&self.0.windows[1], &self.0.disk_cache_hit_rate),
            KvTier::Object => (&self.0.windows[2], &self.0.object_cache_hit_rate),
        };
        if let Some(rate) = window.record(hits, blocks) {
            gauge.set(rate);
        }
    }

    /// An object store could not be read.
    pub fn object_read_failed(&self) {
        self.0.object_read_failures.inc();
    }

    /// An object store could not be written.
    pub fn object_write_failed(&self) {
        self.0.object_write_failures.inc();
    }
}
