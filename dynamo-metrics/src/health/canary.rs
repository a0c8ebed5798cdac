//! Canaries: who probes an endpoint while nobody else asks it anything.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::endpoint::{Endpoint, EndpointHealth};
use super::probe::{Probe, ProbeOutcome};
use super::{CanarySettings, NoLabels, PREFIX};
use crate::label::LabelSet;
use crate::llm::{EndpointMetrics, Outcome};
use crate::metric::{Counter, Histogram};
use crate::registry::{Family, MetricSet, RegisterError};

/// How often a canary looks for traffic while it waits.
const LOOKS: u32 = 8;

/// Bounds of a probe's duration, in seconds: around the times that it may take.
const DURATION_BOUNDS: [f64; 12] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What probes an endpoint that has no traffic.
///
/// What is not said here is as [`CanarySettings`] of the [`Health`](super::Health) say.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::{health::{Canary, Health, Probe, Status}, registry::Registry};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
/// # .block_on(async {
/// let registry = Registry::new();
/// let health = Health::new(&registry)?;
/// let chat = health.endpoint(&registry.component("frontend").endpoint("chat"))?;
/// chat.canary(Canary::new(Probe::custom(|| async { true })).idle(Duration::from_secs(5)))?;
///
/// tokio::time::sleep(Duration::from_secs(6)).await;
/// // It was starting, and answers.
/// assert_eq!(chat.status(), Status::Ready);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Canary {
    probe: Probe,
    idle: Option<Duration>,
    timeout: Option<Duration>,
    failures: Option<u32>,
}

/// Why an endpoint could not have a canary.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CanaryError {
    /// There is no tokio runtime here to run it.
    #[error("there is no tokio runtime")]
    NoRuntime,
    /// The tokio runtime has no timer (`enable_time`).
    #[error("the tokio runtime has no timer")]
    NoTimer,
    /// The endpoint was removed.
    #[error("the endpoint was removed")]
    Removed,
    /// The named time is zero.
    #[error("a canary's {0} is zero")]
    ZeroTime(&'static str),
    /// A canary that needs no failure would never let the endpoint be ready.
    #[error("a canary's failures are zero")]
    ZeroFailures,
    /// A metric could not be registered.
    #[error("a metric of the canary could not be registered")]
    Register(#[from] RegisterError),
}

/// A canary's task, and what it shows.
#[derive(Debug)]
pub(super) struct Running {
    task: AbortHandle,
    metrics: ProbeMetrics,
}

/// What is told of a canary's probes.
///
/// # Source
/// The canary's task, when a probe's answer has ended or its time is over.
#[derive(Debug, Clone, MetricSet)]
#[metric_set(fixed_prefix = PREFIX)]
pub(super) struct ProbeMetrics {
    /// Probes of the canary, by how they ended.
    #[metric(name = "health_probes_total")]
    probes: Family<ByOutcome, Counter>,
    /// How long a probe took.
    #[metric(name = "health_probe_duration_seconds", unit = seconds, buckets = DURATION_BOUNDS)]
    duration: Family<NoLabels, Histogram>,
}

#[derive(LabelSet)]
struct ByOutcome {
    outcome: ProbeOutcome,
}

/// Something that grows while an endpoint works.
#[derive(Debug)]
pub(super) struct Watched {
    source: Source,
    /// What it was when it was looked at last.
    before: u64,
}

#[derive(Debug)]
enum Source {
    /// Of the endpoint's own scope.
    Own(EndpointMetrics),
    Successes(EndpointMetrics),
    Counter(Counter),
}

impl Canary {
    /// Sends `probe`.
    #[must_use]
    pub fn new(probe: Probe) -> Self {
        Self { probe, idle: None, timeout: None, failures: None }
    }

    /// How long nothing must come before a probe is sent, and between probes (default: 10 s).
    ///
    /// Traffic is looked for eight times in it, so that a probe may come up to an eighth later.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// How long a probe may take, to the end of its answer (default: 3 s).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many probes must fail in a row before the endpoint is not ready (default: 3). One success
    /// makes it ready again.
    #[must_use]
    pub fn failures(mut self, failures: u32) -> Self {
        self.failures = Some(failures);
        self
    }

    fn settings(&self, default: CanarySettings) -> Result<CanarySettings, CanaryError> {
        let settings = CanarySettings {
            enabled: default.enabled,
            idle: self.idle.unwrap_or(default.idle),
            timeout: self.timeout.unwrap_or(default.timeout),
            failures: self.failures.unwrap_or(default.failures),
        };
        if settings.idle.is_zero() {
            return Err(CanaryError::ZeroTime("idle"));
        }
        if settings.timeout.is_zero() {
            return Err(CanaryError::ZeroTime("timeout"));
        }
        if settings.failures == 0 {
            return Err(CanaryError::ZeroFailures);
        }
        Ok(settings)
    }
}

impl EndpointHealth {
    /// Probes the endpoint while it has no traffic, in a task of the current tokio runtime; in place
    /// of the canary that it has, if it has one.
    ///
    /// The first probe comes after [`idle`](Canary::idle). So many failures in a row that
    /// [`failures`](Canary::failures) says make the endpoint not ready; one success makes it ready
    /// again, or ready if it was starting. What the endpoint said itself by
    /// [`not_ready`](Self::not_ready) or [`draining`](Self::draining) stays said; while it drains it
    /// is not probed.
    ///
    /// Traffic that went well is as good as a probe, and postpones the next: successes of the
    /// endpoint's [`EndpointMetrics`] (if the scope is an endpoint's; they are registered if
    /// they are not yet), of what it was told to [`watch`](Self::watch), and
    /// [`seen_ok`](Self::seen_ok). A success within a probe that failed is not believed if it
    /// may have been the probe's own.
    ///
    /// A long answer is traffic once it ends. Where answers take longer than a canary waits, let it
    /// [watch](Self::watch_counter) what grows meanwhile.
    ///
    /// The task ends when the endpoint is removed, or the last [`Health`](super::Health) is dropped.
    /// Nothing happens if canaries are [not enabled](CanarySettings::enabled).
    ///
    /// # Errors
    /// Any of [`CanaryError`].
    pub fn canary(&self, canary: Canary) -> Result<(), CanaryError> {
        let Some(health) = self.health.upgrade() else { return Err(CanaryError::Removed) };
        let settings = canary.settings(health.settings.canary)?;
        if !settings.enabled {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|_| CanaryError::NoRuntime)?;
        // There is no other way to ask.
        catch_unwind(|| drop(sleep(Duration::ZERO))).map_err(|_| CanaryError::NoTimer)?;

        let endpoint = &self.endpoint;
        let mut state = endpoint.state();
        if state.is_removed() {
            return Err(CanaryError::Removed);
        }
        let metrics = ProbeMetrics::register(&endpoint.scope)?;
        metrics.show();
        if endpoint.scope.is_endpoint() {
            let own = EndpointMetrics::register(&endpoint.scope)?;
            state.watched.retain(|watched| !matches!(watched.source, Source::Own(_)));
            state.watched.push(Watched::new(Source::Own(own)));
        }
        if let Some(before) = state.canary.take() {
            before.task.abort();
        }
        let task =
            runtime.spawn(run(Arc::clone(endpoint), settings, canary.probe, metrics.clone()));
        let running = Running { task: task.abort_handle(), metrics };
        let before = state.canary.replace(running);
        drop(state);
        if let Some(before) = before {
            before.task.abort();
        }
        Ok(())
    }

    /// Tells the canary that the endpoint just answered well: a request, or a part of a long
    /// answer.
    ///
    /// # Cost
    /// One load where it was told already since it looked last, and a store where not.
    pub fn seen_ok(&self) {
        let seen = &self.endpoint.seen;
        // Mostly read, so that many threads share the line.
        if !seen.load(Ordering::Relaxed) {
            seen.store(true, Ordering::Relaxed);
        }
    }

    /// Takes successes of these metrics for traffic of the endpoint as well.
    pub fn watch(&self, metrics: &EndpointMetrics) {
        self.add(Source::Successes(metrics.clone()));
    }

    /// Takes steps of `counter` for traffic that went well: tokens generated, for one.
    pub fn watch_counter(&self, counter: &Counter) {
        self.add(Source::Counter(counter.clone()));
    }

    fn add(&self, source: Source) {
        let mut state = self.endpoint.state();
        if !state.is_removed() {
            state.watched.push(Watched::new(source));
        }
    }
}

impl Running {
    /// Ends the task, and takes what it shows.
    pub(super) fn end(self) {
        self.task.abort();
        self.metrics.remove();
    }
}

impl ProbeMetrics {
    /// Shows all of them at zero.
    fn show(&self) {
        for &outcome in ProbeOutcome::ALL {
            self.probes.with_ref(&ByOutcome { outcome }, |_| ());
        }
        self.duration.with_ref(&NoLabels {}, |_| ());
    }

    fn record(&self, outcome: ProbeOutcome, duration: Duration) {
        self.probes.with_ref(&ByOutcome { outcome }, Counter::inc);
        self.duration.with_ref(&NoLabels {}, |histogram| histogram.observe_duration(duration));
    }

    fn remove(&self) {
        for &outcome in ProbeOutcome::ALL {
            self.probes.remove(&ByOutcome { outcome });
        }
        self.duration.remove(&NoLabels {});
    }
}

impl Watched {
    fn new(source: Source) -> Self {
        let before = source.get();
        Self { source, before }
    }

    /// How much it grew since it was asked last; what it was when it came is no news.
    fn news(&mut self) -> u64 {
        let now = self.source.get();
        now.saturating_sub(std::mem::replace(&mut self.before, now))
    }
}

impl Source {
    fn get(&self) -> u64 {
        match self {
            Self::Own(metrics) | Self::Successes(metrics) => metrics.ended(Outcome::Success),
            Self::Counter(counter) => counter.get(),
        }
    }
}

/// How much went well since it was asked last.
fn news(endpoint: &Endpoint) -> u64 {
    let seen = endpoint.seen.swap(false, Ordering::Relaxed);
    let sum = |sum: u64, watched: &mut Watched| sum.saturating_add(watched.news());
    endpoint.state().watched.iter_mut().fold(seen.into(), sum)
}

async fn run(
    endpoint: Arc<Endpoint>,
    settings: CanarySettings,
    mut probe: Probe,
    metrics: ProbeMetrics,
) {
    let look = (settings.idle / LOOKS).max(Duration::from_millis(1));
    news(&endpoint);
    let mut quiet_since = Instant::now();
    loop {
        let left = settings.idle.saturating_sub(quiet_since.elapsed());
        sleep(look.min(left)).await;
        if news(&endpoint) > 0 {
            endpoint.succeeded();
            quiet_since = Instant::now();
            continue;
        }
        if endpoint.state().is_draining() {
            quiet_since = Instant::now();
            continue;
        }
        if quiet_since.elapsed() < settings.idle {
            continue;
        }
        let start = Instant::now();
        let outcome = probe.run(settings.timeout).await;
        {
            // What was removed must not be made again by a task that does not know of it yet.
            let state = endpoint.state();
            if !state.is_removed() {
                metrics.record(outcome, start.elapsed());
            }
        }
        let well = news(&endpoint);
        // One success may be what became of the probe itself, before it was judged.
        if outcome == ProbeOutcome::Success || well > 1 {
            endpoint.succeeded();
        } else {
            endpoint.failed(settings.failures);
        }
        quiet_since = Instant::now();
    }
}
