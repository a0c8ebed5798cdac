//! Before a request is served: the time that it waits, and the requests that never are.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::endpoint::PREFIX;
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Counter, Histogram, NativeBuckets};
use crate::registry::{Family, RegisterError, Scope};
use crate::unit::Unit;

/// From half a millisecond to a minute: a request that waits longer has lost its client.
const QUEUE_BOUNDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

/// Why a request that arrived was never served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum RejectReason {
    /// A service said that it will not be ready.
    NotReady,
    /// There was no room for it (HTTP 429, 503 and 529, or an error that is said to be such a one).
    Overloaded,
    /// It waited too long (HTTP 408 and 504, or an error that is said to be such a one).
    Timeout,
    /// Its client left while it waited.
    Abandoned,
    /// It was refused for what it is (other HTTP 4xx).
    Refused,
    /// Something failed on its way (other errors and HTTP 5xx, a panic).
    Failed,
}

const REASONS: [RejectReason; 6] = [
    RejectReason::NotReady,
    RejectReason::Overloaded,
    RejectReason::Timeout,
    RejectReason::Abandoned,
    RejectReason::Refused,
    RejectReason::Failed,
];

/// Requests that arrived and were never served: `dynamo_component_rejected_total{reason}`.
#[derive(Debug, Clone)]
pub struct RejectMetrics(Arc<[Counter; REASONS.len()]>);

/// `dynamo_component_queue_seconds`: registered at once, made when a request has waited.
#[derive(Debug)]
pub(super) struct QueueMetrics {
    family: Family<NoLabels, Histogram>,
    made: OnceLock<Histogram>,
}

#[derive(LabelSet)]
struct NoLabels {}

#[derive(LabelSet)]
struct ByReason {
    reason: RejectReason,
}

impl RejectReason {
    /// Every reason, in the order of declaration.
    pub const ALL: &'static [Self] = &REASONS;
}

impl RejectMetrics {
    /// Registers the metric in `scope`, mostly a component's; all reasons are there at zero.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if the name is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let rejected: Family<ByReason, Counter> = scope
            .or_prefix(PREFIX)
            .counter("rejected_total", "Requests that arrived and were never served.")
            .family()?;
        Ok(Self(Arc::new(REASONS.map(|reason| rejected.with(&ByReason { reason })))))
    }

    /// Counts a request that was never served.
    pub fn reject(&self, reason: RejectReason) {
        self.0[reason as usize].inc();
    }

    /// Requests that were never served for this reason.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.0[reason as usize].get()
    }
}

impl QueueMetrics {
    pub(super) fn register(scope: &Scope, labels: &[(&str, &str)]) -> Result<Self, RegisterError> {
        let family = scope
            .histogram("queue_seconds", "Time from the arrival of a request to its start.")
            .unit(Unit::Seconds)
            .labels(labels)
            .buckets(QUEUE_BOUNDS)
            .native(NativeBuckets::default())
            .family()?;
        Ok(Self { family, made: OnceLock::new() })
    }

    pub(super) fn observe(&self, waited: Duration) {
        self.made.get_or_init(|| self.family.with(&NoLabels {})).observe_duration(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_holds_each_reason_once_and_in_order() {
        for (i, reason) in RejectReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }
}
