//! The choices of [`Health`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::endpoint::Declared;
use super::env::{self, EnvError};
use super::{Health, Inner, NoLabels, ProcessMetrics, Status};
use crate::clock;
use crate::name::scope_value;
use crate::registry::{MetricSet as _, RegisterError, Registry};

/// The choices of a [`Health`].
///
/// # Examples
/// ```
/// use dynamo_metrics::{health::{Health, Status}, registry::Registry};
///
/// let registry = Registry::new();
/// let health = Health::builder().require(["generate"]).live_path("/livez").build(&registry)?;
/// let backend = registry.component("backend");
/// health.endpoint(&backend.endpoint("generate"))?.ready();
/// // Nobody waits for this one.
/// health.endpoint(&backend.endpoint("embed"))?;
/// assert_eq!(health.status(), Status::Ready);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is made until `build` is called"]
pub struct HealthBuilder(Settings);

/// What a canary does that was not told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CanarySettings {
    /// Whether there are canaries at all (default: yes; from the environment: no).
    pub enabled: bool,
    /// How long nothing must come before a probe is sent (default: 10 s).
    pub idle: Duration,
    /// How long a probe may take, to the end of its answer (default: 3 s).
    pub timeout: Duration,
    /// How many probes must fail in a row before the endpoint is not ready (default: 3).
    pub failures: u32,
}

/// Why a [`Health`] could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An environment variable has a value that it cannot have.
    #[error("bad environment variable")]
    Env(#[from] EnvError),
    /// A path does not start with `/`, or has something in it that is no part of a path.
    #[error("{0:?} is no path")]
    Path(String),
    /// The path of `/live` is another one's too; but `/live` must not depend on readiness.
    #[error("{0:?} is the path of liveness and of readiness")]
    SamePath(String),
    /// A time of the canaries is zero.
    #[error("a canary's {0} is zero")]
    ZeroTime(&'static str),
    /// A canary that needs no failure would never let an endpoint be ready.
    #[error("a canary's failures are zero")]
    ZeroFailures,
    /// A metric could not be registered.
    #[error("a metric of health could not be registered")]
    Register(#[from] RegisterError),
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) starting: Status,
    pub(super) required: Vec<Required>,
    pub(super) health_path: Box<str>,
    pub(super) ready_path: Box<str>,
    pub(super) live_path: Box<str>,
    pub(super) canary: CanarySettings,
}

/// The name of an endpoint that must be ready.
#[derive(Debug, Clone)]
pub(super) struct Required {
    pub(super) given: Box<str>,
    /// As the tree bends names: `load-metrics` is `load_metrics` there.
    pub(super) bent: Box<str>,
}

impl HealthBuilder {
    pub(super) fn new() -> Self {
        Self(Settings {
            starting: Status::NotReady,
            required: Vec::new(),
            health_path: "/health".into(),
            ready_path: "/ready".into(),
            live_path: "/live".into(),
            canary: CanarySettings::default(),
        })
    }

    /// What counts for an endpoint that has not said anything, and for a process that has not
    /// (default: [`Status::NotReady`]).
    pub fn starting(mut self, starting: Status) -> Self {
        self.0.starting = starting;
        self
    }

    /// The names of the endpoints that must be ready, of which each must be declared (default: none,
    /// which stands for all that are declared).
    pub fn require<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let required = |name: N| {
            let given = name.as_ref();
            Required { given: given.into(), bent: scope_value(given).into() }
        };
        self.0.required = names.into_iter().map(required).collect();
        self
    }

    /// Where health is asked for (default: `/health`).
    pub fn health_path(mut self, path: &str) -> Self {
        self.0.health_path = path.into();
        self
    }

    /// Where readiness is asked for, which is the same (default: `/ready`).
    pub fn ready_path(mut self, path: &str) -> Self {
        self.0.ready_path = path.into();
        self
    }

    /// Where liveness is asked for (default: `/live`).
    pub fn live_path(mut self, path: &str) -> Self {
        self.0.live_path = path.into();
        self
    }

    /// What canaries do that are not told otherwise.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use dynamo_metrics::health::{CanarySettings, Health};
    ///
    /// let mut settings = CanarySettings::default();
    /// settings.idle = Duration::from_secs(30);
    /// let builder = Health::builder().canary(settings);
    /// ```
    pub fn canary(mut self, settings: CanarySettings) -> Self {
        self.0.canary = settings;
        self
    }

    /// Takes over what Dynamo's environment variables say, as `look_up` knows them. A variable that
    /// is not there, or is empty, changes nothing.
    ///
    /// | variable | value |
    /// |---|---|
    /// | `DYN_SYSTEM_STARTING_HEALTH_STATUS` | `ready` or `notready` |
    /// | `DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS` | names of required endpoints: `["generate"]` |
    /// | `DYN_SYSTEM_HEALTH_PATH`, `DYN_SYSTEM_LIVE_PATH` | a path |
    /// | `DYN_HEALTH_CHECK_ENABLED` | `true` or `false` (default: `false`, so that canaries do nothing) |
    /// | `DYN_CANARY_WAIT_TIME` | seconds |
    /// | `DYN_HEALTH_CHECK_REQUEST_TIMEOUT` | seconds |
    ///
    /// # Errors
    /// [`EnvError`], with the variable and its value.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::health::Health;
    ///
    /// let error = Health::builder()
    ///     .env(|name| (name == "DYN_CANARY_WAIT_TIME").then(|| "soon".to_owned()))
    ///     .unwrap_err();
    /// assert_eq!(error.variable, "DYN_CANARY_WAIT_TIME");
    /// assert_eq!(error.value, "soon");
    /// ```
    pub fn env(self, look_up: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        env::apply(self, look_up)
    }

    /// Checks every choice, then makes the health of the process whose metrics `registry` has.
    ///
    /// # Errors
    /// Any of [`BuildError`].
    pub fn build(self, registry: &Registry) -> Result<Health, BuildError> {
        let settings = self.0;
        settings.check()?;
        let metrics = ProcessMetrics::register(registry)?;
        let inner = Arc::new(Inner {
            settings,
            started: clock::now(),
            process: Mutex::new(Declared::Starting),
            holds: Arc::default(),
            endpoints: Mutex::default(),
            metrics,
        });
        let weak = Arc::downgrade(&inner);
        // At each gather, since what it says depends on all endpoints and holds.
        registry.add_update_callback(move || {
            if let Some(health) = weak.upgrade() {
                let ready = health.report().status == Status::Ready;
                health.metrics.ready.with_ref(&NoLabels {}, |gauge| gauge.set(ready.into()));
            }
        });
        Ok(Health(inner))
    }

    pub(super) fn canary_mut(&mut self) -> &mut CanarySettings {
        &mut self.0.canary
    }
}

impl CanarySettings {
    fn check(&self) -> Result<(), BuildError> {
        if self.idle.is_zero() {
            return Err(BuildError::ZeroTime("idle"));
        }
        if self.timeout.is_zero() {
            return Err(BuildError::ZeroTime("timeout"));
        }
        if self.failures == 0 {
            return Err(BuildError::ZeroFailures);
        }
        Ok(())
    }
}

impl Default for CanarySettings {
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            failures: 3,
        }
    }
}

impl Settings {
    fn check(&self) -> Result<(), BuildError> {
        for path in [&self.health_path, &self.ready_path, &self.live_path] {
            if !is_path(path) {
                return Err(BuildError::Path(path.to_string()));
            }
        }
        if self.live_path == self.health_path || self.live_path == self.ready_path {
            return Err(BuildError::SamePath(self.live_path.to_string()));
        }
        self.canary.check()
    }
}

/// Whether a request can have this path.
pub(super) fn is_path(text: &str) -> bool {
    let uri = text.parse::<http::uri::PathAndQuery>();
    text.starts_with('/') && uri.is_ok_and(|uri| uri.path() == text)
}
