//! What routing itself costs.

use std::sync::Arc;
use std::time::Duration;

use crate::label::LabelValue;
use crate::metric::{Buckets, Counter, Histogram};
use crate::registry::{MetricSet, RegisterError, Scope};

/// The time that a router takes for each step, as `dynamo_router_overhead_*_ms`, and
/// `dynamo_router_shared_cache_errors_total`; all with the label `router_id`.
///
/// # Unit
/// Milliseconds, as the names say.
/// # Source
/// The router, around each step of choosing a worker.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{RouterOverhead, RouterStep};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let overhead = RouterOverhead::register(&registry, 7)?;
/// overhead.took(RouterStep::BlockHashing, Duration::from_micros(40));
/// let line = "dynamo_router_overhead_block_hashing_ms_sum{router_id=\"7\"} 0.04\n";
/// assert!(encode::text(&registry).contains(line));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RouterOverhead(Arc<OverheadSet>);

/// The time that a router takes for each step.
///
/// # Source
/// The router, around each step of choosing a worker.
#[derive(Debug, MetricSet)]
#[metric_set(name = "RouterOverhead", prefix = "dynamo_router")]
pub(super) struct OverheadSet {
    /// Milliseconds to hash the blocks of a prompt.
    #[metric(buckets = Buckets::exponential(0.001, 2.0, 15))]
    overhead_block_hashing_ms: Histogram,
    /// Milliseconds to hash its sequence.
    #[metric(buckets = Buckets::exponential(0.001, 2.0, 15))]
    overhead_seq_hashing_ms: Histogram,
    /// Milliseconds to find who has its blocks.
    #[metric(buckets = Buckets::exponential(0.01, 3.0, 17))]
    overhead_indexer_find_matches_ms: Histogram,
    /// Milliseconds to choose a worker.
    #[metric(buckets = Buckets::exponential(0.01, 3.0, 17))]
    overhead_scheduling_ms: Histogram,
    /// Milliseconds of all of it.
    #[metric(buckets = Buckets::exponential(0.01, 3.0, 17))]
    overhead_total_ms: Histogram,
    /// Milliseconds to ask the shared cache.
    #[metric(buckets = Buckets::exponential(0.01, 3.0, 17))]
    overhead_shared_cache_query_ms: Histogram,
    /// Times that the shared cache could not be asked.
    shared_cache_errors_total: Counter,
}

/// A step of choosing a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum RouterStep {
    /// The blocks of a prompt are hashed.
    BlockHashing,
    /// Its sequence is hashed.
    SeqHashing,
    /// Who has its blocks is looked up.
    IndexerFindMatches,
    /// A worker is chosen.
    Scheduling,
    /// All of it.
    Total,
    /// The shared cache is asked.
    SharedCacheQuery,
}

impl RouterOverhead {
    /// Registers the set in `scope` for the router of this number, under the prefix `dynamo_router`
    /// unless the scope was given another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope, router_id: u64) -> Result<Self, RegisterError> {
        let labels = [("router_id", &*router_id.to_string())];
        Ok(Self(Arc::new(OverheadSet::register_with(scope, &labels)?)))
    }

    /// A step took so long.
    pub fn took(&self, step: RouterStep, time: Duration) {
        let set = &*self.0;
        let histogram = match step {
            RouterStep::BlockHashing => &set.overhead_block_hashing_ms,
            RouterStep::SeqHashing => &set.overhead_seq_hashing_ms,
            RouterStep::IndexerFindMatches => &set.overhead_indexer_find_matches_ms,
            RouterStep::Scheduling => &set.overhead_scheduling_ms,
            RouterStep::Total => &set.overhead_total_ms,
            RouterStep::SharedCacheQuery => &set.overhead_shared_cache_query_ms,
        };
        histogram.observe(time.as_secs_f64() * 1e3);
    }

    /// The shared cache could not be asked.
    pub fn shared_cache_failed(&self) {
        self.0.shared_cache_errors_total.inc();
    }
}
