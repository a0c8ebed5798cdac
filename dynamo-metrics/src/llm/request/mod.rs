//! A request of a frontend: what its handler tells of it.

mod call;
mod told;

pub(super) use call::FrontendCall;

use std::sync::Arc;
use std::time::Duration;

use super::frontend::{
    Failure, FailureClass, FailureReason, FrontendMetrics, ServingPhase, Stage, StageGuard, Worker,
    WorkerType,
};
use crate::label::LabelValue;
use crate::metric::UpDownCounter;
use crate::sync::Ordering;
use told::{IN_FLIGHT, NAMELESS, STREAM, Told, UNARY};

/// Whether a request asks for its answer as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum RequestType {
    /// As a stream of events.
    Stream,
    /// In one piece.
    Unary,
}

/// What a handler tells of the request that it serves.
///
/// The layer of a frontend puts one into the request's extensions. Nothing here can fail, and none
/// of it is needed: what was not told is left out, or read from the answer.
///
/// # Unit
/// Tokens; times are `Duration`s, whatever they are exposed in.
/// # Source
/// The handler, which knows what the layer cannot see.
/// # Cost
/// A store, or a sample in a histogram. A stage and a worker are looked up.
///
/// # Examples
/// ```
/// use std::{sync::Arc, time::Duration};
/// use dynamo_metrics::llm::{FrontendMetrics, RequestType, Stage};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let frontend = FrontendMetrics::register(&registry)?;
/// frontend.serve("llama");
/// let request = frontend.request(&Arc::from("chat_completions")); // the layer does this
/// request.request_type(RequestType::Stream);
/// request.model("llama");
/// {
///     let _stage = request.stage(Stage::Preprocess, None);
///     request.tokenized(Duration::from_millis(3));
///     request.input_tokens(512);
/// }
/// let text = encode::text(&registry);
/// assert!(text.contains("dynamo_frontend_stage_duration_seconds_count{stage=\"preprocess\"} 1\n"));
/// assert!(text.contains("dynamo_frontend_queued_requests{model=\"llama\"} 1\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RequestMetrics(Arc<Told>);

impl FrontendMetrics {
    /// A request to `endpoint` (`chat_completions`, `completions`, ..) begins.
    #[must_use]
    pub fn request(&self, endpoint: &Arc<str>) -> RequestMetrics {
        RequestMetrics(Arc::new(Told::new(self, endpoint)))
    }
}

impl RequestMetrics {
    /// The request is for the model that the client calls `requested` (default: the one that the
    /// answer names). The first call counts.
    ///
    /// If no such model is [served](FrontendMetrics::serve), it is [`UNKNOWN_MODEL`](super::UNKNOWN_MODEL)'s.
    pub fn model(&self, requested: &str) {
        let told = &*self.0;
        let model = told.frontend.model(requested);
        if told.model.set(Arc::clone(&model)).is_err() {
            return;
        }
        // Up before the phase changes, so that the end, which takes it down, never comes first.
        model.in_flight.each(UpDownCounter::inc);
        model.queued.each(UpDownCounter::inc);
        told.queued.store(true, Ordering::Release);
        let entered =
            told.phase.compare_exchange(NAMELESS, IN_FLIGHT, Ordering::AcqRel, Ordering::Acquire);
        if entered.is_err() {
            model.in_flight.each(UpDownCounter::dec);
        }
        if entered.is_err() || told.first_token.load(Ordering::Acquire) > 0 {
            told.leave_queue();
        }
        told.start(false);
    }

    /// The client asked for the answer in this way (default: as the answer turns out).
    pub fn request_type(&self, request_type: RequestType) {
        let told = match request_type {
            RequestType::Stream => STREAM,
            RequestType::Unary => UNARY,
        };
        self.0.request_type.store(told, Ordering::Release);
        self.0.start(false);
    }

    /// The prompt has so many tokens (default: as the stream's usage says).
    pub fn input_tokens(&self, tokens: u64) {
        self.0.input_tokens.store(tokens, Ordering::Relaxed);
    }

    /// So many of the prompt's tokens were found in a cache (default: as the answer's usage says).
    pub fn cached_tokens(&self, tokens: u64) {
        self.0.cached_tokens.store(tokens, Ordering::Relaxed);
    }

    /// The answer has so many tokens (default: as the stream's usage says, or as were seen).
    pub fn output_tokens(&self, tokens: u64) {
        self.0.output_tokens.store(tokens, Ordering::Relaxed);
    }

    /// The request has so many images (default: nothing is said of them).
    pub fn images(&self, images: u64) {
        self.0.media[0].store(images.saturating_add(1), Ordering::Relaxed);
    }

    /// The request has so many videos (default: nothing is said of them).
    pub fn videos(&self, videos: u64) {
        self.0.media[1].store(videos.saturating_add(1), Ordering::Relaxed);
    }

    /// The request has so many pieces of audio (default: nothing is said of them).
    pub fn audio(&self, pieces: u64) {
        self.0.media[2].store(pieces.saturating_add(1), Ordering::Relaxed);
    }

    /// So many tokens of the prompt stand for images (default: nothing is said of them).
    pub fn image_tokens(&self, tokens: u64) {
        self.0.media[3].store(tokens.saturating_add(1), Ordering::Relaxed);
    }

    /// The request fails, and why (default: as its end shows). The first call counts, and only if
    /// the request does not succeed.
    pub fn failure(&self, class: FailureClass, reason: FailureReason) {
        let _ = self.0.failure.set(Failure { class, reason });
    }

    /// A worker serves the request; of each kind the first one counts.
    ///
    /// The time to the first token and the length of the prompt become the last ones of the worker
    /// that reads prompts, or else of the one that generates; the time between tokens that of the one
    /// that generates.
    pub fn worker(&self, worker: &Worker) {
        let place = match worker.kind() {
            WorkerType::Prefill => &self.0.prefill,
            WorkerType::Decode => &self.0.decode,
        };
        let _ = place.set(worker.clone());
    }

    /// The request enters a stage, for what a worker of this phase is to do if that is known; it
    /// leaves when what is returned is dropped.
    pub fn stage(&self, stage: Stage, phase: Option<ServingPhase>) -> StageGuard {
        self.0.frontend.stage(stage, phase)
    }

    /// The prompt was put together, which took so long.
    pub fn templated(&self, took: Duration) {
        self.0.frontend.templated(took);
    }

    /// The prompt was made into tokens, which took so long.
    pub fn tokenized(&self, took: Duration) {
        self.0.frontend.tokenized(took);
    }

    /// So many tokens of the answer were made into text, which took so long all together; at the
    /// end of the answer.
    pub fn detokenized(&self, took: Duration, tokens: u64) {
        self.0.frontend.detokenized(took, tokens);
    }

    /// The tokenizer knew so many of the prompt's tokens, and so many not; after its model was
    /// told.
    pub fn tokenizer_cache(&self, cached: u64, uncached: u64) {
        self.0.frontend.tokenizer_cached(self.0.model_name(), cached, uncached);
    }
}
