//! What is told of a backend.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::FetchStatus;
use crate::foreign::Collected;
use crate::label::{LabelInfo, LabelValue as _};
use crate::metric::{FloatGauge, StateSet};
use crate::registry::catalogue::{MetricInfo, SetInfo};
use crate::registry::{Answer, DynamicFamily};
use crate::unit::Unit;

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

const UP: MetricInfo =
    gauge("dynamo_metrics_backend_up", "Whether the last fetch of the backend gave a page.");
const DURATION: MetricInfo =
    gauge("dynamo_metrics_backend_scrape_duration_seconds", "Time that the last fetch took.")
        .unit(Unit::Seconds);
const SAMPLES: MetricInfo =
    gauge("dynamo_metrics_backend_scrape_samples", "Series of the last page that could be used.");
const ERROR: MetricInfo = MetricInfo::of::<DynamicFamily<StateSet<FetchStatus>, 1>>()
    .named("dynamo_metrics_backend_error", "What was wrong with the last fetch.")
    .names::<DynamicFamily<StateSet<FetchStatus>, 1>>(LABELS);

const LABELS: &[LabelInfo] = &[LabelInfo::open("backend")];

pub(in crate::exporter) const INFO: SetInfo =
    SetInfo::new("Backend", "dynamo_metrics::exporter", "A backend, once it was fetched.")
        .source("The exporter, at each scrape.")
        .metrics(&[ERROR, DURATION, SAMPLES, UP]);

const fn gauge(name: &'static str, help: &'static str) -> MetricInfo {
    MetricInfo::of::<DynamicFamily<FloatGauge, 1>>()
        .named(name, help)
        .names::<DynamicFamily<FloatGauge, 1>>(LABELS)
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
            (&UP, f64::from(u8::from(fault == FetchStatus::None))),
            (&DURATION, took.as_secs_f64()),
            (&SAMPLES, series as f64),
        ];
        for (info, value) in gauges {
            told.gauge(info.name, info.help, &labels, value);
        }
        told.state_set(ERROR.name, ERROR.help, &labels, FetchStatus::LABELS, fault.index());
        told.into_answer()
    }
}
