//! What a tokio runtime does.

use std::sync::Arc;

use ::tokio::runtime::{Handle, RuntimeMetrics};

use super::told::{One, tell, tell_of};
use crate::label::LabelInfo;
use crate::metric::{FloatGauge, Total};
use crate::registry::catalogue::Known;
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

const PREFIX: &str = "tokio";

/// Most workers that are shown.
const MOST: usize = 512;

/// Most series of a name, whatever the registry says: those of eight runtimes.
const MOST_SERIES: u64 = 8 * MOST as u64;

pub(crate) const SETS: &[Known] = &[
    Known::of::<RuntimeSet>().with(&[LabelInfo::open("runtime")]),
    Known::of::<UnstableSet>().with(&[LabelInfo::open("runtime")]),
];

/// What a tokio runtime does: tasks, queues, and how busy its workers are.
///
/// Where the program is built with `--cfg tokio_unstable`, it also tells what tokio shows only then.
///
/// # Source
/// [`RuntimeMetrics`]. At most 512 workers are shown.
/// # Cost
/// A few loads for each worker, at each gather.
///
/// # Examples
/// ```
/// use dynamo_metrics::{collect::TokioCollector, encode, registry::Registry};
/// use tokio::runtime::Handle;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// TokioCollector::register(&registry, &Handle::current())?;
/// let task = tokio::spawn(std::future::pending::<()>());
/// assert!(encode::text(&registry).contains("\ntokio_alive_tasks 1\n"));
/// # task.abort();
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct TokioCollector(#[expect(dead_code, reason = "for those who debug")] Arc<Sets>);

/// The choices of a [`TokioCollector`].
#[derive(Debug, Clone)]
#[must_use = "nothing is registered until `register` is called"]
pub struct TokioBuilder {
    handle: Handle,
    name: Option<String>,
}

#[derive(Debug)]
struct Sets {
    stable: RuntimeSet,
    #[cfg(tokio_unstable)]
    unstable: UnstableSet,
}

/// A tokio runtime.
///
/// # Source
/// The runtime's own metrics.
#[derive(Debug, MetricSet)]
#[metric_set(name = "TokioCollector", fixed_prefix = PREFIX)]
struct RuntimeSet {
    /// Threads that run tasks.
    workers: One<FloatGauge>,
    /// Tasks that were spawned and have not ended.
    alive_tasks: One<FloatGauge>,
    /// Tasks that are ready, and that no worker has taken yet.
    global_queue_depth: One<FloatGauge>,
    /// Time that a worker was busy: with tasks, timers and input.
    #[metric(unit = seconds, labels(worker), series_cap = MOST_SERIES)]
    worker_busy_seconds_total: DynamicFamily<Total, 1>,
    /// Times that a worker went to sleep.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_parks_total: DynamicFamily<Total, 1>,
}

/// What tokio shows of a runtime with `--cfg tokio_unstable`.
///
/// # Source
/// The runtime's own metrics, where the program is built with `--cfg tokio_unstable`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "TokioUnstable", fixed_prefix = PREFIX)]
#[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "it is listed all the same"))]
struct UnstableSet {
    /// Threads for what blocks.
    blocking_threads: One<FloatGauge>,
    /// Threads for what blocks that have nothing to do.
    idle_blocking_threads: One<FloatGauge>,
    /// What blocks, and waits for such a thread.
    blocking_queue_depth: One<FloatGauge>,
    /// Tasks that were spawned.
    spawned_tasks_total: One<Total>,
    /// Times that a task was made ready by a thread that is no worker.
    remote_schedules_total: One<Total>,
    /// Times that a task was sent to the back as it would not end.
    budget_forced_yields_total: One<Total>,
    /// Times that a worker ran a task until that waited.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_polls_total: DynamicFamily<Total, 1>,
    /// Time that a worker ran a task until that waited, on average of late.
    #[metric(unit = seconds, labels(worker), series_cap = MOST_SERIES)]
    worker_mean_poll_time_seconds: DynamicFamily<FloatGauge, 1>,
    /// Tasks that are ready, and that a worker has taken.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_local_queue_depth: DynamicFamily<FloatGauge, 1>,
    /// Times that a task was made ready by its own worker.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_local_schedules_total: DynamicFamily<Total, 1>,
    /// Times that a worker's own queue was full.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_overflows_total: DynamicFamily<Total, 1>,
    /// Tasks that a worker took from others.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_steals_total: DynamicFamily<Total, 1>,
    /// Times that a worker woke for nothing.
    #[metric(labels(worker), series_cap = MOST_SERIES)]
    worker_noops_total: DynamicFamily<Total, 1>,
}

impl TokioCollector {
    /// Registers the collector of the runtime of `handle` in `scope`, mostly a registry, for as long as
    /// that is there.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope, handle: &Handle) -> Result<Self, RegisterError> {
        Self::builder(handle).register(scope)
    }

    /// The same, with choices.
    pub fn builder(handle: &Handle) -> TokioBuilder {
        TokioBuilder { handle: handle.clone(), name: None }
    }
}

impl TokioBuilder {
    /// What the runtime is called, as the label `runtime` (default: no such label). Each of several
    /// runtimes in one scope needs a name of its own.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{collect::TokioCollector, encode, registry::Registry};
    ///
    /// let engine = tokio::runtime::Builder::new_current_thread().build()?;
    /// let registry = Registry::new();
    /// TokioCollector::builder(engine.handle()).name("engine").register(&registry)?;
    /// assert!(encode::text(&registry).contains("\ntokio_workers{runtime=\"engine\"} 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// Registers the collector in `scope`.
    ///
    /// # Errors
    /// As [`TokioCollector::register`].
    pub fn register(self, scope: &Scope) -> Result<TokioCollector, RegisterError> {
        let label = self.name.as_deref().map(|name| ("runtime", name));
        let labels = label.as_slice();
        let sets = Arc::new(Sets {
            stable: RuntimeSet::register_with(scope, labels)?,
            #[cfg(tokio_unstable)]
            unstable: UnstableSet::register_with(scope, labels)?,
        });
        let (own, metrics) = (Arc::clone(&sets), self.handle.metrics());
        scope.add_refresh("tokio", move || {
            own.stable.show(&metrics);
            #[cfg(tokio_unstable)]
            own.unstable.show(&metrics);
            Ok(())
        });
        Ok(TokioCollector(sets))
    }
}

/// Calls `show` with each worker that is shown, and what it is called.
fn each_worker(metrics: &RuntimeMetrics, mut show: impl FnMut(usize, [&str; 1])) {
    for worker in 0..metrics.num_workers().min(MOST) {
        show(worker, [&worker.to_string()]);
    }
}

impl RuntimeSet {
    fn show(&self, metrics: &RuntimeMetrics) {
        tell(&self.workers, Some(metrics.num_workers() as f64));
        tell(&self.alive_tasks, Some(metrics.num_alive_tasks() as f64));
        tell(&self.global_queue_depth, Some(metrics.global_queue_depth() as f64));
        #[cfg(target_has_atomic = "64")]
        each_worker(metrics, |worker, label| {
            let busy = metrics.worker_total_busy_duration(worker).as_secs_f64();
            tell_of(&self.worker_busy_seconds_total, label, Some(busy));
            let parks = metrics.worker_park_count(worker) as f64;
            tell_of(&self.worker_parks_total, label, Some(parks));
        });
    }
}

#[cfg(tokio_unstable)]
impl UnstableSet {
    fn show(&self, metrics: &RuntimeMetrics) {
        tell(&self.blocking_threads, Some(metrics.num_blocking_threads() as f64));
        tell(&self.idle_blocking_threads, Some(metrics.num_idle_blocking_threads() as f64));
        tell(&self.blocking_queue_depth, Some(metrics.blocking_queue_depth() as f64));
        #[cfg(target_has_atomic = "64")]
        {
            tell(&self.spawned_tasks_total, Some(metrics.spawned_tasks_count() as f64));
            tell(&self.remote_schedules_total, Some(metrics.remote_schedule_count() as f64));
            tell(
                &self.budget_forced_yields_total,
                Some(metrics.budget_forced_yield_count() as f64),
            );
        }
        each_worker(metrics, |worker, label| {
            let depth = metrics.worker_local_queue_depth(worker) as f64;
            tell_of(&self.worker_local_queue_depth, label, Some(depth));
            #[cfg(target_has_atomic = "64")]
            {
                let mean = metrics.worker_mean_poll_time(worker).as_secs_f64();
                tell_of(&self.worker_mean_poll_time_seconds, label, Some(mean));
                for (family, total) in [
                    (&self.worker_polls_total, metrics.worker_poll_count(worker)),
                    (
                        &self.worker_local_schedules_total,
                        metrics.worker_local_schedule_count(worker),
                    ),
                    (&self.worker_overflows_total, metrics.worker_overflow_count(worker)),
                    (&self.worker_steals_total, metrics.worker_steal_count(worker)),
                    (&self.worker_noops_total, metrics.worker_noop_count(worker)),
                ] {
                    tell_of(family, label, Some(total as f64));
                }
            }
        });
    }
}
