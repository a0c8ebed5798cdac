//! The sets of the seed systems' other parts: routers, workers, planners, operators, engines.

mod batching;
mod engine;
mod kvbm;
mod operator;
mod overhead;
mod planner;
mod plugins;
mod request_plane;
mod router;
mod work_pool;

pub use batching::{Batch, BatchBuilder, BatchMeter};
pub use engine::{EngineBuilder, EngineMetrics};
pub use kvbm::{KvOffload, KvOnboard, KvTier, KvbmMetrics};
pub use operator::{Admission, KubeError, OperatorMetrics, Reconciled};
pub use overhead::{RouterOverhead, RouterStep};
pub use planner::{LoadDecision, PlannedEngine, PlannerGauges, PlannerMetrics, ThroughputDecision};
pub use plugins::{Circuit, Evaluation, Override, PlannerStage, Plugin, PluginMetrics};
pub use request_plane::{PlaneCall, RequestPlaneMetrics};
pub use router::{RegisteredWorker, RoutedModel, RouterMetrics};
pub use work_pool::WorkPoolMetrics;

use crate::registry::catalogue::Known;
/// The sets of this module, for the catalogue.
pub(super) const SETS: &[Known] = &[
    Known::of::<router::RouterSet>(),
    Known::of::<overhead::OverheadSet>(),
    Known::of::<RequestPlaneMetrics>(),
    Known::of::<work_pool::PoolSet>(),
    Known::of::<work_pool::GateSet>(),
    Known::of::<engine::EngineSet>(),
    Known::of::<engine::VllmEngineSet>(),
    Known::of::<batching::BatchSet>(),
    Known::of::<batching::VllmBatchSet>(),
    Known::of::<KvbmMetrics>(),
    Known::of::<PlannerGauges>(),
    Known::of::<planner::EngineFamilies>(),
    Known::of::<plugins::PluginSet>(),
    Known::of::<operator::OperatorSet>(),
];

/// The register function of a set that has one field.
macro_rules! registered_in {
    ($set:ident, $prefix:literal) => {
        impl $set {
            #[doc = concat!(
                "Registers the set in `scope`, under the prefix `", $prefix, "` unless the scope \
                 was given another."
            )]
            ///
            /// # Errors
            /// [`RegisterError::Conflict`](crate::registry::RegisterError::Conflict) and its like,
            /// if one of the names is taken by something else.
            pub fn register(
                scope: &crate::registry::Scope,
            ) -> Result<Self, crate::registry::RegisterError> {
                crate::registry::MetricSet::register(scope)
            }
        }
    };
}
use registered_in;

/// A count as a gauge has it.
fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
