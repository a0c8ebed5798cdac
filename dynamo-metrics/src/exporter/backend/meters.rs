//! What is told of a backend.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::FetchStatus;
use crate::foreign::Collected;
use crate::label::LabelValue as _;
use crate::registry::Answer;

/// What is told of one backend, once it was fetched.
///
/// It is told as others' values are, so that nothing is left of a backend that is gone.
#[derive(Debug)]
pub(super) struct Meters {
    backend: String,
    last: Mutex<Option<Last>>,
}

/// The last fetch.
#[derive(Debug, Clone, Copy)]
struct Last {
    took: Duration,
    series: usize,
    fault: FetchStatus,
}

impl Meters {
    pub(super) fn new(backend: String) -> Self {
        Self { backend, last: Mutex::default() }
    }

    pub(super) fn up(&self, took: Duration, series: usize) {
        self.tell(Last { took, series, fault: FetchStatus::None });
    }

    pub(super) fn down(&self, took: Duration, fault: FetchStatus) {
        self.tell(Last { took, series: 0, fault });
    }

    fn tell(&self, last: Last) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    pub(super) fn answer(&self) -> Answer {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Last { took, series, fault }) = last else { return Answer::default() };
        let labels = [("backend", &*self.backend)];
        let mut told = Collected::new();
        let gauges = [
            (
                "dynamo_metrics_backend_up",
                "Whether the last fetch of the backend gave a page.",
                f64::from(u8::from(fault == FetchStatus::None)),
            ),
            (
                "dynamo_metrics_backend_scrape_duration_seconds",
                "Time that the last fetch took.",
                took.as_secs_f64(),
            ),
            (
                "dynamo_metrics_backend_scrape_samples",
                "Series of the last page that could be used.",
                series as f64,
            ),
        ];
        for (name, help, value) in gauges {
            told.gauge(name, help, &labels, value);
        }
        let (name, help) = ("dynamo_metrics_backend_error", "What was wrong with the last fetch.");
        told.state_set(name, help, &labels, FetchStatus::LABELS, fault.index());
        told.into_answer()
    }
}
