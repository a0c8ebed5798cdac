//! Health: which endpoints are ready, what probes of an orchestrator are told, and canaries.
//!
//! - [`Health`]: one for a process. [`Health::answer`] answers `/health`, `/ready` and `/live` in
//!   the shape that Dynamo's system server has; an HTTP server of any kind can hand it on.
//! - [`EndpointHealth`]: what one endpoint of the tree says of itself.
//! - [`Hold`]: keeps the whole process not ready for as long as it lives.
//! - `Canary`: a small request through the service's own stack where nobody else asks anything
//!   (feature `health`, which `exporter` turns on).
//!
//! # What ready means
//! The process is ready if there is no [`Hold`], and all endpoints are ready: those that were
//! [required](HealthBuilder::require), or, where none was, all that are declared. While no endpoint
//! is declared, it is what [`Health::ready`] and the others said of the process.
//!
//! `/live` says that the process answers, and nothing else: who restarts what is merely not ready
//! never sees it get ready.
//!
//! # Metrics
//! Registered where the endpoint is, with its labels:
//!
//! | metric (`dynamo_metrics_` ..) | what it says |
//! |---|---|
//! | `health_status` | 1 if the endpoint is ready, 0 if not |
//! | `health_transitions_total{to}` | how often it became `ready` or `notready` |
//! | `health_probes_total{outcome}` | canary probes, by how they ended; once there is a canary |
//! | `health_probe_duration_seconds` | how long they took |
//! | `health_ready` | 1 if the process is ready; at the root |

mod builder;
#[cfg(feature = "health")]
mod canary;
mod endpoint;
mod env;
mod json;
#[cfg(feature = "health")]
mod probe;
#[cfg(all(test, not(dynamo_metrics_loom)))]
mod tests;

pub use builder::{BuildError, CanarySettings, HealthBuilder};
#[cfg(feature = "health")]
pub use canary::{Canary, CanaryError};
pub use endpoint::{EndpointHealth, EndpointState};
pub use env::EnvError;
#[cfg(feature = "health")]
pub use probe::{CANARY_HEADER, Probe, ProbeOutcome, is_canary};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::clock::Instant;
use crate::label::{LabelSet, LabelValue};
use crate::metric::Gauge;
use crate::registry::catalogue::Known;
use crate::registry::{Family, MetricSet, RegisterError, Registry, Scope};
use builder::Settings;
use endpoint::{Declared, Endpoint};

pub(crate) const SETS: &[Known] = &[
    Known::of::<ProcessMetrics>(),
    Known::of::<endpoint::Metrics>(),
    #[cfg(feature = "health")]
    Known::of::<canary::ProbeMetrics>(),
];

/// The prefix of the metrics of health, whatever prefix the scope has.
const PREFIX: &str = "dynamo_metrics";

/// Ready or not, as `/health` and the metrics say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
pub enum Status {
    /// `ready`.
    Ready,
    /// `notready`, in one word as Dynamo has it.
    #[label(rename = "notready")]
    NotReady,
}

/// The health of a process: a cheap handle; clones are one thing.
///
/// When the last one is dropped, its canaries end and its metrics go.
///
/// # Examples
/// ```
/// use dynamo_metrics::{health::Health, registry::Registry};
///
/// let registry = Registry::new();
/// let health = Health::new(&registry)?;
/// let scope = registry.namespace("prod").component("backend").endpoint("generate");
/// let generate = health.endpoint(&scope)?;
/// assert_eq!(health.answer("/health").unwrap().status(), 503);
///
/// generate.ready();
/// let answer = health.answer("/health").unwrap();
/// assert_eq!(answer.status(), 200);
/// assert!(answer.body().ends_with(r#""endpoints":{"generate":"ready"}}"#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

/// Keeps the process not ready while it lives: a warm-up, a shutdown.
///
/// # Examples
/// ```
/// use dynamo_metrics::{health::{Health, Status}, registry::Registry};
///
/// let health = Health::new(&Registry::new())?;
/// health.ready();
/// let warm_up = health.hold("loading weights");
/// assert_eq!(health.status(), Status::NotReady);
/// assert_eq!(health.holds(), ["loading weights"]);
/// drop(warm_up);
/// assert_eq!(health.status(), Status::Ready);
/// # Ok::<(), dynamo_metrics::health::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "the hold ends when this is dropped"]
pub struct Hold {
    holds: Arc<Mutex<Holds>>,
    number: u64,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    started: Instant,
    process: Mutex<Declared>,
    holds: Arc<Mutex<Holds>>,
    endpoints: Mutex<Endpoints>,
    metrics: ProcessMetrics,
}

/// What is told of the health of a process.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HealthMetrics", fixed_prefix = PREFIX)]
struct ProcessMetrics {
    /// 1 if the process is ready, 0 if not.
    ///
    /// # Source
    /// All endpoints and holds, when the registry is gathered.
    #[metric(name = "health_ready")]
    ready: Family<NoLabels, Gauge>,
}

#[derive(Debug, Default)]
struct Endpoints {
    /// By name, and then by place: two components may each have an endpoint of one name.
    all: BTreeMap<(Arc<str>, u64), Arc<Endpoint>>,
    /// The names of places, of which each has one.
    names: HashMap<u64, Arc<str>>,
}

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    reasons: BTreeMap<u64, Box<str>>,
}

#[derive(LabelSet)]
struct NoLabels {}

/// What is said of all endpoints at one moment, those of one name together.
struct Report {
    status: Status,
    endpoints: Vec<(Arc<str>, Status)>,
}

impl Health {
    /// The health of the process whose metrics `registry` has, with the default choices.
    ///
    /// # Errors
    /// [`BuildError::Register`], if a name is taken.
    pub fn new(registry: &Registry) -> Result<Self, BuildError> {
        Self::builder().build(registry)
    }

    /// The same, with other choices.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::new()
    }

    /// The same, with the choices of Dynamo's environment variables as `look_up` knows them; see
    /// [`HealthBuilder::env`].
    ///
    /// # Errors
    /// [`BuildError::Env`], if a variable has a value that it cannot have; else as
    /// [`HealthBuilder::build`].
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{health::Health, registry::Registry};
    ///
    /// let health = Health::from_env(&Registry::new(), |name| std::env::var(name).ok())?;
    /// # Ok::<(), dynamo_metrics::health::BuildError>(())
    /// ```
    pub fn from_env(
        registry: &Registry,
        look_up: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BuildError> {
        Self::builder().env(look_up)?.build(registry)
    }

    /// Declares an endpoint; it is [starting](EndpointState::Starting). Asking twice for one scope
    /// gives one endpoint, under
    /// its first name.
    ///
    /// Its name is that of the scope's endpoint (of the component or namespace, if it is of none;
    /// `runtime` at the root). Endpoints of one name are shown as one, which is ready if all of
    /// them are.
    ///
    /// # Errors
    /// [`RegisterError::ScopeRemoved`], and others if the name of a metric is taken.
    pub fn endpoint(&self, scope: &Scope) -> Result<EndpointHealth, RegisterError> {
        self.0.declare(scope, None, Arc::downgrade(&self.0))
    }

    /// The same, shown under another name.
    ///
    /// # Errors
    /// As of [`endpoint`](Self::endpoint).
    pub fn endpoint_named(
        &self,
        scope: &Scope,
        name: &str,
    ) -> Result<EndpointHealth, RegisterError> {
        self.0.declare(scope, Some(name), Arc::downgrade(&self.0))
    }

    /// Declares that the process is ready; heard while no endpoint is declared.
    pub fn ready(&self) {
        *lock(&self.0.process) = Declared::Ready;
    }

    /// Declares that the process is not ready; heard while no endpoint is declared.
    pub fn not_ready(&self, reason: &str) {
        *lock(&self.0.process) = Declared::NotReady(reason.into());
    }

    /// Keeps the process not ready until the [`Hold`] is dropped.
    pub fn hold(&self, reason: &str) -> Hold {
        let holds = Arc::clone(&self.0.holds);
        let number = {
            let mut holds = lock(&holds);
            let number = holds.next;
            holds.next += 1;
            holds.reasons.insert(number, reason.into());
            number
        };
        Hold { holds, number }
    }

    /// Why the process is held, from the oldest hold to the newest.
    #[must_use]
    pub fn holds(&self) -> Vec<String> {
        lock(&self.0.holds).reasons.values().map(ToString::to_string).collect()
    }

    /// Whether the process is ready.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.report().status
    }

    /// What canaries do that were not told otherwise.
    #[must_use]
    pub fn canary_settings(&self) -> &CanarySettings {
        &self.0.settings.canary
    }

    /// Answers a probe of `path`, if it is one of health's.
    ///
    /// | path | answer |
    /// |---|---|
    /// | `/health`, `/ready` | 200 or 503, and `{"status":..,"uptime":{..},"endpoints":{..}}` |
    /// | `/live` | 200, and `{"status":"live"}` |
    ///
    /// # Cost
    /// A few steps for each endpoint, and a lock that only those wait for who declare or remove one.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{health::Health, registry::Registry};
    ///
    /// let health = Health::new(&Registry::new())?;
    /// let live = health.answer("/live").unwrap();
    /// assert_eq!((live.status().as_u16(), live.body().as_str()), (200, r#"{"status":"live"}"#));
    /// assert!(health.answer("/metrics").is_none());
    /// # Ok::<(), dynamo_metrics::health::BuildError>(())
    /// ```
    #[must_use]
    pub fn answer(&self, path: &str) -> Option<Response<String>> {
        let Settings { health_path, ready_path, live_path, .. } = &self.0.settings;
        let (code, text) = if *path == **live_path {
            (StatusCode::OK, r#"{"status":"live"}"#.to_owned())
        } else if *path == **health_path || *path == **ready_path {
            let report = self.0.report();
            let code = match report.status {
                Status::Ready => StatusCode::OK,
                Status::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            };
            (code, json::report(&report, self.0.started.elapsed()))
        } else {
            return None;
        };
        let mut response = Response::new(text);
        *response.status_mut() = code;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(response)
    }
}

impl Inner {
    /// Takes an endpoint out of the picture, unless its place is another one's already.
    fn remove(&self, endpoint: &Arc<Endpoint>) {
        let mut endpoints = lock(&self.endpoints);
        if endpoints.get(endpoint.id()).is_some_and(|there| Arc::ptr_eq(there, endpoint)) {
            endpoints.remove(endpoint.id());
        }
        // Under the lock, so that who declares it again meanwhile keeps the new series.
        endpoint.close();
    }

    fn declare(
        &self,
        scope: &Scope,
        name: Option<&str>,
        health: Weak<Self>,
    ) -> Result<EndpointHealth, RegisterError> {
        let mut endpoints = lock(&self.endpoints);
        let new = Endpoint::new(scope, name, self.settings.starting)?;
        if let Some(there) = endpoints.get(new.id()) {
            if there.is_like(&new) {
                return Ok(EndpointHealth::new(Arc::clone(there), health));
            }
            // Its scope was removed, and made again.
            there.close();
            endpoints.remove(new.id());
        }
        let new = Arc::new(new);
        new.show();
        endpoints.insert(&new);
        Ok(EndpointHealth::new(new, health))
    }

    fn report(&self) -> Report {
        let mut merged: Vec<(Arc<str>, Status)> = Vec::new();
        for ((name, _), endpoint) in &lock(&self.endpoints).all {
            match merged.last_mut() {
                Some((last, status)) if last == name => *status = status.and(endpoint.status()),
                _ => merged.push((Arc::clone(name), endpoint.status())),
            }
        }
        Report { status: self.decide(&merged), endpoints: merged }
    }

    fn decide(&self, endpoints: &[(Arc<str>, Status)]) -> Status {
        let required = &self.settings.required;
        let ready = if !lock(&self.holds).reasons.is_empty() {
            false
        } else if !required.is_empty() {
            let find =
                |name: &str| endpoints.binary_search_by(|(other, _)| (**other).cmp(name)).ok();
            required.iter().all(|name| {
                // A name may be given as it is, or as the tree bends it.
                let at = find(&name.given).or_else(|| find(&name.bent));
                at.is_some_and(|at| endpoints[at].1 == Status::Ready)
            })
        } else if endpoints.is_empty() {
            lock(&self.process).is_ready(self.settings.starting)
        } else {
            endpoints.iter().all(|(_, status)| *status == Status::Ready)
        };
        Status::of(ready)
    }
}

impl Endpoints {
    /// The endpoint of a place.
    fn get(&self, id: u64) -> Option<&Arc<Endpoint>> {
        let name = self.names.get(&id)?;
        self.all.get(&(Arc::clone(name), id))
    }

    fn insert(&mut self, endpoint: &Arc<Endpoint>) {
        let (name, id) = (endpoint.name(), endpoint.id());
        self.names.insert(id, Arc::clone(name));
        self.all.insert((Arc::clone(name), id), Arc::clone(endpoint));
    }

    fn remove(&mut self, id: u64) {
        if let Some(name) = self.names.remove(&id) {
            self.all.remove(&(name, id));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for endpoint in lock(&self.endpoints).all.values() {
            endpoint.close();
        }
        self.metrics.ready.remove(&NoLabels {});
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.holds).reasons.remove(&self.number);
    }
}

impl Status {
    fn of(ready: bool) -> Self {
        if ready { Self::Ready } else { Self::NotReady }
    }

    fn and(self, other: Self) -> Self {
        Self::of(self == Self::Ready && other == Self::Ready)
    }
}

/// What is guarded is whole after each statement, so that a panic elsewhere changes nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
