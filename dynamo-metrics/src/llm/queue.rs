//! Before a request is served: the time that it waits, and the requests that never are.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::PREFIX;
use crate::label::LabelValue;
use crate::metric::{Counter, Histogram};
use crate::registry::{Lazy, MetricSet, RegisterError, Scope};

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
#[derive(Debug, Clone, MetricSet)]
pub struct RejectMetrics(Arc<Metrics>);

/// Requests that arrived and were never served.
#[derive(Debug, MetricSet)]
#[metric_set(name = "RejectMetrics", prefix = PREFIX)]
struct Metrics {
    /// Requests that arrived and were never served.
    ///
    /// # Source
    /// Counted by the accept layer, when the future of a request ends or is dropped before its
    /// service was called, or the service says of its answer that it is none.
    #[metric(name = "rejected_total", each(reason: RejectReason))]
    rejected: [Counter; REASONS.len()],
}

/// The time that requests wait before they are served.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = PREFIX)]
pub(super) struct QueueMetrics {
    /// Time from the arrival of a request to its start.
    ///
    /// # Source
    /// From the call of an accept layer to that of the service within; only behind such a layer.
    #[metric(name = "queue_seconds", unit = seconds, buckets = QUEUE_BOUNDS, native)]
    seconds: Lazy<Histogram>,
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
        MetricSet::register(scope)
    }

    /// Counts a request that was never served.
    pub fn reject(&self, reason: RejectReason) {
        self.0.rejected[reason as usize].inc();
    }

    /// Requests that were never served for this reason.
    #[must_use]
    pub fn rejected(&self, reason: RejectReason) -> u64 {
        self.0.rejected[reason as usize].get()
    }
}

impl QueueMetrics {
    pub(super) fn observe(&self, waited: Duration) {
        self.seconds.observe_duration(waited);
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
