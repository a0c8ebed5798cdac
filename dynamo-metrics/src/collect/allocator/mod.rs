//! What the program allocates.

mod count;
mod wrapper;

use std::sync::Arc;

pub use wrapper::CountingAllocator;

use super::told::{One, tell};
use crate::metric::{FloatGauge, Total};
use crate::registry::catalogue::Known;
use crate::registry::{MetricSet, RegisterError, Scope};

pub(crate) const SETS: &[Known] = &[Known::of::<Set>()];

/// What the program allocates, as a [`CountingAllocator`] counts it.
///
/// Nothing is shown where that is not the program's allocator.
///
/// # Source
/// Each call of the allocator. A block that is made larger or smaller counts as a new one.
/// # Cost
/// A few microseconds at each gather; at each call of the allocator, what [`CountingAllocator`] says.
///
/// # Examples
/// ```
/// use std::alloc::System;
/// use dynamo_metrics::collect::{AllocatorCollector, CountingAllocator};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator<System> = CountingAllocator::new(System);
///
/// # fn main() -> Result<(), dynamo_metrics::registry::RegisterError> {
/// let registry = Registry::new();
/// AllocatorCollector::register(&registry)?;
/// let held = vec![0_u8; 1 << 20];
/// let page = encode::text(&registry);
/// let live = page.lines().find_map(|line| line.strip_prefix("allocator_live_bytes "));
/// assert!(live.is_some_and(|live| live.parse::<f64>().is_ok_and(|live| live > 1e6)), "{page}");
/// # drop(held);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AllocatorCollector(#[expect(dead_code, reason = "for those who debug")] Arc<Set>);

/// What the program allocates.
///
/// # Source
/// Each call of a `CountingAllocator`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "AllocatorCollector", fixed_prefix = "allocator")]
struct Set {
    /// Blocks that were allocated.
    allocations_total: One<Total>,
    /// Bytes that were allocated.
    #[metric(unit = bytes)]
    allocated_bytes_total: One<Total>,
    /// Blocks that were given back.
    deallocations_total: One<Total>,
    /// Bytes that were given back.
    #[metric(unit = bytes)]
    deallocated_bytes_total: One<Total>,
    /// Bytes that were allocated and not given back.
    #[metric(unit = bytes)]
    live_bytes: One<FloatGauge>,
}

impl AllocatorCollector {
    /// Registers the collector in `scope`, mostly a registry, for as long as that is there.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let own = Arc::new(Set::register(scope)?);
        let set = Arc::clone(&own);
        scope.add_refresh("allocator", move || {
            set.show();
            Ok(())
        });
        Ok(Self(own))
    }
}

impl Set {
    fn show(&self) {
        let counts = count::sum();
        let known = |count: u64| (counts.allocations > 0).then_some(count as f64);
        tell(&self.allocations_total, known(counts.allocations));
        tell(&self.allocated_bytes_total, known(counts.allocated_bytes));
        tell(&self.deallocations_total, known(counts.deallocations));
        tell(&self.deallocated_bytes_total, known(counts.deallocated_bytes));
        let live = counts.allocated_bytes.saturating_sub(counts.deallocated_bytes);
        tell(&self.live_bytes, known(live));
    }
}
