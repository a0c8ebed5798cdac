//! What is told of a backend.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Fault;
use crate::metric::{FloatGauge, Gauge, StateSet};
use crate::registry::{DynamicFamily, RegisterError, Scope};
use crate::unit::Unit;

/// The metrics of one backend.
#[derive(Debug)]
pub(super) struct Meters {
    backend: String,
    up: DynamicFamily<Gauge, 1>,
    duration: DynamicFamily<FloatGauge, 1>,
    samples: DynamicFamily<Gauge, 1>,
    error: DynamicFamily<StateSet<Fault>, 1>,
    /// Nothing is told any more, though a fetch may still be on its way.
    is_removed: Mutex<bool>,
}

impl Meters {
    pub(super) fn register(scope: &Scope, backend: &str) -> Result<Self, RegisterError> {
        let scope = scope.with_prefix("dynamo_metrics_backend");
        let label = ["backend"];
        let meters = Self {
            backend: backend.to_owned(),
            up: scope
                .gauge("up", "Whether the last fetch of the backend gave a page.")
                .dynamic_family(label)?,
            duration: scope
                .float_gauge("scrape_duration_seconds", "Time that the last fetch took.")
                .unit(Unit::Seconds)
                .dynamic_family(label)?,
            samples: scope
                .gauge("scrape_samples", "Series of the last page that could be used.")
                .dynamic_family(label)?,
            error: scope
                .state_set("error", "What was wrong with the last fetch.")
                .dynamic_family(label)?,
            is_removed: Mutex::new(false),
        };
        Ok(meters)
    }

    pub(super) fn up(&self, took: Duration, series: usize) {
        self.tell(took, series, Fault::None);
    }

    pub(super) fn down(&self, took: Duration, fault: Fault) {
        self.tell(took, 0, fault);
    }

    fn tell(&self, took: Duration, series: usize, fault: Fault) {
        let backend = [&*self.backend];
        let is_removed = self.is_removed.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_removed {
            return;
        }
        self.up.with_ref(backend, |up| up.set(i64::from(fault == Fault::None)));
        self.duration.with_ref(backend, |duration| duration.set(took.as_secs_f64()));
        self.samples
            .with_ref(backend, |samples| samples.set(series.try_into().unwrap_or(i64::MAX)));
        self.error.with_ref(backend, |error| error.set(&fault));
    }

    pub(super) fn remove(&self) {
        let backend = [&*self.backend];
        *self.is_removed.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.up.remove(backend);
        self.duration.remove(backend);
        self.samples.remove(backend);
        self.error.remove(backend);
    }
}
