//! Whether a frontend's event loop comes to its tasks in time.

use std::sync::Arc;
use std::time::Duration;

use super::environment::PREFIX;
use crate::metric::{Counter, Histogram};
use crate::registry::{MetricSet, RegisterError, Scope};

/// In seconds.
const DELAY: [f64; 10] = [0.0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// A delay that is longer is a stall.
const STALL: Duration = Duration::from_millis(5);

/// How late an event loop comes to a task that sleeps: `dynamo_frontend_event_loop_delay_seconds`, and
/// `dynamo_frontend_event_loop_stall_total` for what is more than 5 ms.
///
/// # Unit
/// Seconds.
/// # Source
/// A task of the loop that sleeps for [`PERIOD`](Self::PERIOD) and tells how much later it woke.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::EventLoopMetrics;
/// use dynamo_metrics::{encode, registry::Registry};
///
/// async fn watch(event_loop: EventLoopMetrics) {
///     loop {
///         let start = tokio::time::Instant::now();
///         tokio::time::sleep(EventLoopMetrics::PERIOD).await;
///         event_loop.woke_after(start.elapsed());
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// let event_loop = EventLoopMetrics::register(&registry)?;
/// let watching = tokio::spawn(watch(event_loop.clone()));
/// event_loop.woke_after(Duration::from_millis(30));
/// # watching.abort();
/// assert!(encode::text(&registry).contains("dynamo_frontend_event_loop_stall_total 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, MetricSet)]
pub struct EventLoopMetrics(Arc<EventLoopSet>);

/// How late an event loop comes to its tasks.
///
/// # Source
/// A task of the loop that sleeps for 10 ms, and how much later it wakes.
#[derive(Debug, MetricSet)]
#[metric_set(name = "EventLoopMetrics", fixed_prefix = PREFIX)]
struct EventLoopSet {
    /// Time by which a sleep of 10 ms was too long.
    #[metric(unit = seconds, buckets = DELAY)]
    event_loop_delay_seconds: Histogram,
    /// Sleeps that were too long by more than 5 ms.
    event_loop_stall_total: Counter,
}

impl EventLoopMetrics {
    /// How long the task that watches sleeps.
    pub const PERIOD: Duration = Duration::from_millis(10);

    /// Registers the set in `scope`, under the prefix `dynamo_frontend`.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        MetricSet::register(scope)
    }

    /// A sleep of [`PERIOD`](Self::PERIOD) took so long.
    pub fn woke_after(&self, slept: Duration) {
        let delay = slept.saturating_sub(Self::PERIOD);
        self.0.event_loop_delay_seconds.observe_duration(delay);
        if delay > STALL {
            self.0.event_loop_stall_total.inc();
        }
    }
}
