//! A worker's pool of tasks, and the queue before it.

use std::sync::Arc;
use std::time::Duration;

use super::whole;
use crate::metric::{Counter, Gauge, Histogram, InFlight, UpDownCounter};
use crate::registry::{MetricSet, RegisterError, Scope};

/// In seconds.
const TRANSIT: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
const FIRST_RESPONSE: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const PERMIT: [f64; 11] = [0.0001, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

/// A worker's pool of tasks, the queue before it, and the gate before that, as
/// `dynamo_work_handler_*`, `dynamo_rejection_request_total`, `dynamo_engine_request` and
/// `dynamo_request_queue`. What is measured by endpoint is
/// [`EndpointMetrics`](crate::llm::EndpointMetrics)'.
///
/// # Unit
/// Seconds; the rest are counts.
/// # Source
/// The worker, where it takes messages and runs them.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::{encode, llm::WorkPoolMetrics, registry::Registry};
///
/// let registry = Registry::new();
/// let pool = WorkPoolMetrics::register(&registry)?;
/// pool.capacity(1_024, 64);
/// pool.permitted(Duration::from_millis(2));
/// let task = pool.task();
/// assert!(encode::text(&registry).contains("dynamo_work_handler_pool_active_tasks 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct WorkPoolMetrics(Arc<Sets>);

#[derive(Debug)]
struct Sets {
    pool: PoolSet,
    gate: GateSet,
}

/// A worker's pool of tasks, and the queue before it.
///
/// # Source
/// The worker, where it takes messages and runs them.
#[derive(Debug, MetricSet)]
#[metric_set(name = "WorkPoolMetrics", prefix = "dynamo_work_handler")]
pub(super) struct PoolSet {
    /// Time from a message being sent to its being received, by the clocks of both.
    #[metric(unit = seconds, buckets = TRANSIT)]
    network_transit_seconds: Histogram,
    /// Time from a message being received to the engine taking it.
    #[metric(unit = seconds, buckets = FIRST_RESPONSE)]
    time_to_first_response_seconds: Histogram,
    /// Messages that wait.
    queue_depth: Gauge,
    /// Messages that may wait.
    queue_capacity: Gauge,
    /// Tasks that run.
    pool_active_tasks: UpDownCounter,
    /// Tasks that may run.
    pool_capacity: Gauge,
    /// Messages for which there was no room to wait.
    enqueue_rejected_total: Counter,
    /// Time that a message waits to be run.
    #[metric(unit = seconds, buckets = PERMIT)]
    permit_wait_seconds: Histogram,
}

/// The gate before a worker's engine.
///
/// # Source
/// The worker, where it takes messages and runs them.
#[derive(Debug, MetricSet)]
#[metric_set(name = "WorkPoolMetrics, gate", fixed_prefix = "dynamo")]
pub(super) struct GateSet {
    /// Requests that were turned away.
    rejection_request_total: Counter,
    /// Requests that the engine has.
    engine_request: Gauge,
    /// Requests that wait for it.
    request_queue: Gauge,
}

impl WorkPoolMetrics {
    /// Registers the set in `scope`.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let (pool, gate) = (PoolSet::register(scope)?, GateSet::register(scope)?);
        Ok(Self(Arc::new(Sets { pool, gate })))
    }

    /// A message took so long from its sender to here, by the clocks of both. A sender whose clock is
    /// ahead took no time.
    pub fn received_after(&self, sent: Duration) {
        self.0.pool.network_transit_seconds.observe_duration(sent);
    }

    /// The engine has taken a message, so long after it was received.
    pub fn responded_after(&self, received: Duration) {
        self.0.pool.time_to_first_response_seconds.observe_duration(received);
    }

    /// So many messages may wait, and so many tasks run.
    pub fn capacity(&self, queue: u64, tasks: u64) {
        self.0.pool.queue_capacity.set(whole(queue));
        self.0.pool.pool_capacity.set(whole(tasks));
    }

    /// So many messages wait.
    pub fn queued(&self, messages: u64) {
        self.0.pool.queue_depth.set(whole(messages));
    }

    /// There was no room for a message to wait.
    pub fn full(&self) {
        self.0.pool.enqueue_rejected_total.inc();
    }

    /// A message may run, after it waited so long.
    pub fn permitted(&self, waited: Duration) {
        self.0.pool.permit_wait_seconds.observe_duration(waited);
    }

    /// A task runs, until what is returned is dropped.
    pub fn task(&self) -> InFlight {
        self.0.pool.pool_active_tasks.enter()
    }

    /// The engine has so many requests, and so many wait for it.
    pub fn engine(&self, requests: u64, waiting: u64) {
        self.0.gate.engine_request.set(whole(requests));
        self.0.gate.request_queue.set(whole(waiting));
    }

    /// A request was turned away.
    pub fn turned_away(&self) {
        self.0.gate.rejection_request_total.inc();
    }
}
