//! What is told of a request, by its handler and by its answer, and where it stands.

use std::sync::{Arc, OnceLock};

use super::RequestType;
use crate::label::LabelValue as _;
use crate::llm::frontend::{Failure, FrontendMetrics, Model, UNKNOWN_MODEL, Worker};
use crate::metric::UpDownCounter;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Phases of a request: before its model is known, in flight, at its end.
pub(super) const NAMELESS: u8 = 0;
pub(super) const IN_FLIGHT: u8 = 1;
pub(super) const ENDED: u8 = 2;

/// Request types as they are told: not at all, stream, unary.
pub(super) const UNTOLD: u8 = 0;
pub(super) const STREAM: u8 = 1;
pub(super) const UNARY: u8 = 2;

/// A request, as all that hear of it share it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) frontend: FrontendMetrics,
    pub(super) endpoint: Arc<str>,
    pub(super) model: OnceLock<Arc<Model>>,
    /// Where the request stands with its model's gauge of active requests.
    pub(super) phase: AtomicU8,
    /// It is in its model's gauge of queued requests.
    pub(super) queued: AtomicBool,
    pub(super) request_type: AtomicU8,
    /// It was counted as started.
    pub(super) started: AtomicBool,
    /// Nanoseconds to the first token, and one.
    pub(super) first_token: AtomicU64,
    pub(super) input_tokens: AtomicU64,
    pub(super) cached_tokens: AtomicU64,
    pub(super) output_tokens: AtomicU64,
    /// Images, videos, pieces of audio, tokens of images, and one each.
    pub(super) media: [AtomicU64; 4],
    pub(super) failure: OnceLock<Failure>,
    pub(super) prefill: OnceLock<Worker>,
    pub(super) decode: OnceLock<Worker>,
}

impl Told {
    pub(super) fn new(frontend: &FrontendMetrics, endpoint: &Arc<str>) -> Self {
        Self {
            frontend: frontend.clone(),
            endpoint: Arc::clone(endpoint),
            model: OnceLock::new(),
            phase: AtomicU8::new(NAMELESS),
            queued: AtomicBool::new(false),
            request_type: AtomicU8::new(UNTOLD),
            started: AtomicBool::new(false),
            first_token: AtomicU64::new(0),
            input_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
            media: std::array::from_fn(|_| AtomicU64::new(0)),
            failure: OnceLock::new(),
            prefill: OnceLock::new(),
            decode: OnceLock::new(),
        }
    }

    /// Takes the request out of its model's gauges, if it is there.
    pub(super) fn leave(&self) {
        if self.phase.swap(ENDED, Ordering::AcqRel) == IN_FLIGHT
            && let Some(model) = self.model.get()
        {
            model.in_flight.each(UpDownCounter::dec);
            self.leave_queue();
        }
    }

    /// Takes it out of the gauge of queued requests, if it is there.
    pub(super) fn leave_queue(&self) {
        if self.queued.swap(false, Ordering::AcqRel)
            && let Some(model) = self.model.get()
        {
            model.queued.each(UpDownCounter::dec);
        }
    }

    /// Counts it as started, once it is known for what it is, or nothing more will be.
    pub(super) fn start(&self, at_end: bool) {
        let known =
            self.model.get().is_some() && self.request_type.load(Ordering::Acquire) != UNTOLD;
        if (known || at_end) && !self.started.swap(true, Ordering::AcqRel) {
            let request_type = self.request_type();
            let labels = [self.model_name(), &self.endpoint, request_type.as_label()];
            self.frontend.started(labels);
        }
    }

    pub(super) fn request_type(&self) -> RequestType {
        match self.request_type.load(Ordering::Acquire) {
            STREAM => RequestType::Stream,
            _ => RequestType::Unary,
        }
    }

    /// The name of its model, if that is served and stays so.
    pub(super) fn model_name(&self) -> &str {
        let served = self.model.get().filter(|model| !model.is_withdrawn());
        served.map_or(UNKNOWN_MODEL, |model| model.name())
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        // Without an answer to measure, nobody else would.
        self.leave();
    }
}
