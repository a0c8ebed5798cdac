//! One endpoint: what it says of itself, what its canary says, and what follows.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::{Inner, NoLabels, PREFIX, Status, lock};
use crate::label::LabelSet;
use crate::metric::{Counter, Gauge, Metric};
use crate::registry::{Family, MetricSet, Place, RegisterError, Scope};

/// The name of what is declared at the root of the tree.
const ROOT: &str = "runtime";

/// The labels that an endpoint's name is taken from, best first.
const NAMES: [&str; 3] = ["dynamo_endpoint", "dynamo_component", "dynamo_namespace"];

/// What an endpoint says of its readiness: a cheap handle; clones are one endpoint.
///
/// It stays declared when its handles are dropped, until [`remove`](Self::remove).
///
/// # Examples
/// ```
/// use dynamo_metrics::{health::{EndpointState, Health, Status}, registry::Registry};
///
/// let registry = Registry::new();
/// let health = Health::new(&registry)?;
/// let chat = health.endpoint(&registry.component("frontend").endpoint("chat"))?;
/// assert_eq!(chat.state(), EndpointState::Starting);
/// chat.ready();
/// assert_eq!(health.status(), Status::Ready);
/// chat.not_ready("out of memory");
/// assert_eq!(chat.state(), EndpointState::NotReady("out of memory".into()));
/// chat.remove();
/// assert!(health.answer("/health").unwrap().body().ends_with(r#""endpoints":{}}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct EndpointHealth {
    pub(super) endpoint: Arc<Endpoint>,
    /// Not kept alive: an endpoint's handle may be anywhere, a canary's probe included.
    pub(super) health: Weak<Inner>,
}

/// What there is to know of an endpoint's readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointState {
    /// It has not said anything yet. What that counts as is [to be
    /// chosen](super::HealthBuilder::starting).
    Starting,
    /// It serves.
    Ready,
    /// It said that it is not ready, and why.
    NotReady(Arc<str>),
    /// It ends what it has, and wants nothing new.
    Draining,
    /// It would be ready, but so many probes of its canary failed in a row.
    Unresponsive(u32),
    /// It was removed, or its [`Health`](super::Health) is no more.
    Removed,
}

/// What somebody said of an endpoint, or of the process.
#[derive(Debug, Clone)]
pub(super) enum Declared {
    Starting,
    Ready,
    NotReady(Arc<str>),
    Draining,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    name: Arc<str>,
    id: u64,
    place: Place,
    /// As the user gave it.
    #[cfg(feature = "health")]
    pub(super) scope: Scope,
    starting: Status,
    metrics: Metrics,
    /// What the state comes to; written with the lock held.
    ready: AtomicBool,
    /// Whether somebody saw an answer that was well since the canary looked.
    #[cfg(feature = "health")]
    pub(super) seen: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    declared: Declared,
    /// Probes that failed in a row.
    failures: u32,
    unresponsive: bool,
    removed: bool,
    #[cfg(feature = "health")]
    pub(super) canary: Option<super::canary::Running>,
    /// What shows that the endpoint works.
    #[cfg(feature = "health")]
    pub(super) watched: Vec<super::canary::Watched>,
}

/// What is told of the health of one endpoint.
///
/// # Source
/// What the endpoint says of itself, and its canary.
#[derive(Debug, MetricSet)]
#[metric_set(name = "EndpointHealthMetrics", fixed_prefix = PREFIX)]
pub(super) struct Metrics {
    /// 1 if the endpoint is ready, 0 if not.
    #[metric(name = "health_status")]
    status: Family<NoLabels, Gauge>,
    /// How often the endpoint became ready, or not.
    #[metric(name = "health_transitions_total")]
    transitions: Family<To, Counter>,
}

#[derive(LabelSet)]
struct To {
    to: Status,
}

impl EndpointHealth {
    pub(super) fn new(endpoint: Arc<Endpoint>, health: Weak<Inner>) -> Self {
        Self { endpoint, health }
    }

    /// The name under which it is shown.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.endpoint.name
    }

    /// It serves. A canary whose probes fail is not overruled by that.
    pub fn ready(&self) {
        self.endpoint.change(|state| state.declared = Declared::Ready);
    }

    /// It does not serve, until it says otherwise; no canary overrules that.
    pub fn not_ready(&self, reason: &str) {
        let reason = Arc::from(reason);
        self.endpoint.change(|state| state.declared = Declared::NotReady(reason));
    }

    /// It ends what it has, and wants nothing new: not ready, and not probed any more.
    pub fn draining(&self) {
        self.endpoint.change(|state| state.declared = Declared::Draining);
    }

    /// What there is to know of it.
    #[must_use]
    pub fn state(&self) -> EndpointState {
        lock(&self.endpoint.state).shown()
    }

    /// Whether it is ready.
    #[must_use]
    pub fn status(&self) -> Status {
        self.endpoint.status()
    }

    /// Takes it out of the picture: its answers, its series and its canary go.
    ///
    /// Its scope keeps a little for each series that was ever made in it, until it is
    /// [removed](Scope::remove) too.
    pub fn remove(&self) {
        match self.health.upgrade() {
            Some(health) => health.remove(&self.endpoint),
            None => self.endpoint.close(),
        }
    }
}

impl fmt::Debug for EndpointHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointHealth")
            .field("name", &self.endpoint.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

impl Declared {
    pub(super) fn is_ready(&self, starting: Status) -> bool {
        match self {
            Self::Starting => starting == Status::Ready,
            Self::Ready => true,
            Self::NotReady(_) | Self::Draining => false,
        }
    }
}

impl Endpoint {
    pub(super) fn new(
        scope: &Scope,
        name: Option<&str>,
        starting: Status,
    ) -> Result<Self, RegisterError> {
        let own = scope.with_prefix(PREFIX);
        let metrics = Metrics::register(scope)?;
        // All are there: only now is something shown.
        let name = name.map_or_else(|| label_name(&metrics.status.with(&NoLabels {})), Arc::from);
        Ok(Self {
            name,
            id: own.id(),
            place: own.place(),
            #[cfg(feature = "health")]
            scope: scope.clone(),
            starting,
            metrics,
            ready: AtomicBool::new(starting == Status::Ready),
            #[cfg(feature = "health")]
            seen: AtomicBool::new(false),
            state: Mutex::new(State {
                declared: Declared::Starting,
                failures: 0,
                unresponsive: false,
                removed: false,
                #[cfg(feature = "health")]
                canary: None,
                #[cfg(feature = "health")]
                watched: Vec::new(),
            }),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells its place from others.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether both are of one place.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.place == other.place
    }

    /// Shows the first values.
    pub(super) fn show(&self) {
        let ready = self.ready.load(Ordering::Relaxed);
        self.metrics.status.with_ref(&NoLabels {}, |gauge| gauge.set(ready.into()));
        for to in [Status::Ready, Status::NotReady] {
            self.metrics.transitions.with_ref(&To { to }, |_| ());
        }
    }

    pub(super) fn status(&self) -> Status {
        Status::of(self.ready.load(Ordering::Relaxed))
    }

    /// Changes the state, and tells whom it concerns.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let (ready, state) = {
            let mut state = lock(&self.state);
            if state.removed {
                return;
            }
            change(&mut state);
            let ready = !state.unresponsive && state.declared.is_ready(self.starting);
            if self.ready.swap(ready, Ordering::Relaxed) == ready {
                return;
            }
            // With the lock held, so that the last word of the metrics is that of the state.
            self.metrics.status.with_ref(&NoLabels {}, |gauge| gauge.set(ready.into()));
            self.metrics.transitions.with_ref(&To { to: Status::of(ready) }, Counter::inc);
            (ready, state.shown())
        };
        let name = &*self.name;
        if ready {
            tracing::info!(endpoint = name, "endpoint is ready");
        } else {
            tracing::warn!(endpoint = name, ?state, "endpoint is not ready");
        }
    }

    /// Ends it: nothing changes it any more, and nothing of it is shown.
    pub(super) fn close(&self) {
        {
            let mut state = lock(&self.state);
            if std::mem::replace(&mut state.removed, true) {
                return;
            }
            self.ready.store(false, Ordering::Relaxed);
        }
        // Nobody writes what is shown once it is removed.
        self.metrics.status.remove(&NoLabels {});
        for to in [Status::Ready, Status::NotReady] {
            self.metrics.transitions.remove(&To { to });
        }
        #[cfg(feature = "health")]
        {
            let canary = {
                let mut state = lock(&self.state);
                state.watched = Vec::new();
                state.canary.take()
            };
            if let Some(canary) = canary {
                canary.end();
            }
        }
    }
}

impl State {
    fn shown(&self) -> EndpointState {
        match &self.declared {
            _ if self.removed => EndpointState::Removed,
            Declared::NotReady(reason) => EndpointState::NotReady(Arc::clone(reason)),
            Declared::Draining => EndpointState::Draining,
            _ if self.unresponsive => EndpointState::Unresponsive(self.failures),
            Declared::Starting => EndpointState::Starting,
            Declared::Ready => EndpointState::Ready,
        }
    }
}

#[cfg(feature = "health")]
impl Endpoint {
    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// An answer was well.
    pub(super) fn succeeded(&self) {
        self.change(|state| {
            (state.failures, state.unresponsive) = (0, false);
            // What answers has started.
            if matches!(state.declared, Declared::Starting) {
                state.declared = Declared::Ready;
            }
        });
    }

    /// A probe failed; so many in a row are too many.
    pub(super) fn failed(&self, too_many: u32) {
        self.change(|state| {
            state.failures = state.failures.saturating_add(1);
            state.unresponsive |= state.failures >= too_many;
        });
    }
}

#[cfg(feature = "health")]
impl State {
    pub(super) fn is_draining(&self) -> bool {
        matches!(self.declared, Declared::Draining)
    }

    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }
}

/// The name of the place that a metric is of.
fn label_name<M: Metric>(metric: &M) -> Arc<str> {
    let labels = &metric.series().labels;
    let find = |wanted| labels.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    NAMES.into_iter().find_map(find).map_or_else(|| ROOT.into(), |name| Arc::from(&*name))
}
