//! A request of a frontend: what its handler tells of it, and what is counted at its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::frontend::{
    Failure, FailureClass, FailureReason, Finished, FrontendMetrics, Model, ServingPhase, Stage,
    StageGuard, UNKNOWN_MODEL, Worker, WorkerType,
};
use super::outcome::{End, Outcome};
use super::reading::Account;
use super::stream::{FinishReason, ModelName, TokenSource};
use super::tokens::{Beat, observe_each};
use crate::label::LabelValue;
use crate::metric::UpDownCounter;
use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Phases of a request: before its model is known, in flight, at its end.
const NAMELESS: u8 = 0;
const IN_FLIGHT: u8 = 1;
const ENDED: u8 = 2;

/// Request types as they are told: not at all, stream, unary.
const UNTOLD: u8 = 0;
const STREAM: u8 = 1;
const UNARY: u8 = 2;

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

#[derive(Debug)]
struct Told {
    frontend: FrontendMetrics,
    endpoint: Arc<str>,
    model: OnceLock<Arc<Model>>,
    /// Where the request stands with its model's gauge of active requests.
    phase: AtomicU8,
    /// It is in its model's gauge of queued requests.
    queued: AtomicBool,
    request_type: AtomicU8,
    /// It was counted as started.
    started: AtomicBool,
    /// Nanoseconds to the first token, and one.
    first_token: AtomicU64,
    input_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
    /// Images, videos, pieces of audio, tokens of images, and one each.
    media: [AtomicU64; 4],
    failure: OnceLock<Failure>,
    prefill: OnceLock<Worker>,
    decode: OnceLock<Worker>,
}

/// A request of a frontend, as the answer's state holds it.
#[derive(Debug)]
pub(super) struct FrontendCall {
    told: RequestMetrics,
    /// Output tokens that were counted as they passed.
    counted: u64,
    /// Of the answer's own account.
    per_token: Option<f64>,
    finish: Option<FinishReason>,
}

impl FrontendMetrics {
    /// A request to `endpoint` (`chat_completions`, `completions`, ..) begins.
    #[must_use]
    pub fn request(&self, endpoint: &Arc<str>) -> RequestMetrics {
        RequestMetrics(Arc::new(Told {
            frontend: self.clone(),
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
            media: [const { AtomicU64::new(0) }; 4],
            failure: OnceLock::new(),
            prefill: OnceLock::new(),
            decode: OnceLock::new(),
        }))
    }
}

impl RequestMetrics {
    /// The request is for the model that the client calls `requested` (default: the one that the
    /// answer names). The first call counts.
    ///
    /// If no such model is [served](FrontendMetrics::serve), it is [`UNKNOWN_MODEL`]'s.
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

impl Told {
    /// Takes the request out of its model's gauges, if it is there.
    fn leave(&self) {
        if self.phase.swap(ENDED, Ordering::AcqRel) == IN_FLIGHT
            && let Some(model) = self.model.get()
        {
            model.in_flight.each(UpDownCounter::dec);
            self.leave_queue();
        }
    }

    /// Takes it out of the gauge of queued requests, if it is there.
    fn leave_queue(&self) {
        if self.queued.swap(false, Ordering::AcqRel)
            && let Some(model) = self.model.get()
        {
            model.queued.each(UpDownCounter::dec);
        }
    }

    /// Counts it as started, once it is known for what it is, or nothing more will be.
    fn start(&self, at_end: bool) {
        let known =
            self.model.get().is_some() && self.request_type.load(Ordering::Acquire) != UNTOLD;
        if (known || at_end) && !self.started.swap(true, Ordering::AcqRel) {
            let request_type = self.request_type();
            let labels = [self.model_name(), &self.endpoint, request_type.as_label()];
            self.frontend.started(labels);
        }
    }

    fn request_type(&self) -> RequestType {
        match self.request_type.load(Ordering::Acquire) {
            STREAM => RequestType::Stream,
            _ => RequestType::Unary,
        }
    }

    /// The name of its model, if that is served and stays so.
    fn model_name(&self) -> &str {
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

impl FrontendCall {
    pub(super) fn start(told: &RequestMetrics) -> Self {
        Self { told: told.clone(), counted: 0, per_token: None, finish: None }
    }

    /// The answer is a stream.
    pub(super) fn streams(&self) {
        let told = &*self.told.0;
        let of = &told.request_type;
        let _ = of.compare_exchange(UNTOLD, STREAM, Ordering::AcqRel, Ordering::Relaxed);
        told.start(false);
    }

    /// The answer names its model, which is the request's if its handler named none. A name that is
    /// not served says nothing.
    pub(super) fn answers_as(&self, model: &ModelName) {
        let told = &*self.told.0;
        if !model.is_empty() && told.model.get().is_none() && told.frontend.serves(model.as_str()) {
            self.told.model(model.as_str());
        }
    }

    pub(super) fn first_token(&self, time: Duration) {
        let told = &*self.told.0;
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        told.first_token.store(nanoseconds.saturating_add(1), Ordering::Release);
        told.leave_queue();
        if let Some(model) = told.model.get() {
            model.first_token.each(|histogram| histogram.observe_duration(time));
        }
        if let Some(worker) = told.prefill.get().or_else(|| told.decode.get()) {
            worker.first_token(time);
            let input_tokens = told.input_tokens.load(Ordering::Relaxed);
            if input_tokens > 0 {
                worker.input_tokens(input_tokens);
            }
        }
    }

    #[inline]
    pub(super) fn beat(&self, beat: Beat) {
        let (Beat::Next { gap, tokens, .. }, told) = (beat, &*self.told.0) else { return };
        if let Some(model) = told.model.get() {
            model.per_token.each(|histogram| observe_each(histogram, gap, tokens));
            model.per_chunk.each(|histogram| histogram.observe_duration(gap));
        }
        if let Some(worker) = told.decode.get() {
            worker.inter_token(gap.as_secs_f64() / tokens.max(1) as f64);
        }
    }

    pub(super) fn output_tokens(&mut self, tokens: u64) {
        self.counted += tokens;
        if let Some(model) = self.told.0.model.get() {
            model.output_tokens.each(|counter| counter.inc_by(tokens));
        }
    }

    /// The answer's own account, of which so many tokens were not counted as they passed.
    pub(super) fn account(&mut self, account: &Account<'_>, uncounted: u64) {
        self.answers_as(&account.seen.model);
        if uncounted > 0 {
            self.output_tokens(uncounted);
        }
        self.finish = account.seen.finish;
        self.per_token = account.pace.per_token(account.tokens, None).filter(|_| !account.unary);
        let told = &self.told.0;
        let usage = account.seen.usage;
        let input = usage.map_or(0, |usage| usage.input_tokens);
        let cached = usage.and_then(|usage| usage.cached_tokens).unwrap_or(0);
        let output = if account.source == TokenSource::Estimated { 0 } else { account.tokens };
        for (place, tokens) in [
            (&told.input_tokens, input),
            (&told.cached_tokens, cached),
            (&told.output_tokens, output),
        ] {
            // What the handler said itself it knows better.
            let _ = place.compare_exchange(0, tokens, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    pub(super) fn end(&mut self, end: End, duration: Duration) {
        let told = &*self.told.0;
        // After this no model can be named any more, so what is read below is final.
        told.leave();
        if told.model.get().is_none() {
            self.told.model(UNKNOWN_MODEL);
        }
        let Some(model) = told.model.get() else {
            return;
        };
        told.start(true);
        let output_tokens = told.output_tokens.load(Ordering::Relaxed);
        // An answer in one piece was told of, and passed unread.
        let untold = output_tokens.saturating_sub(self.counted);
        model.output_tokens.each(|counter| counter.inc_by(untold));
        let first_token = told.first_token.load(Ordering::Acquire).checked_sub(1);
        let success = end.outcome == Outcome::Success;
        let failure = if success { None } else { told.failure.get().copied() };
        told.frontend.finished(
            model,
            &Finished {
                model: told.model_name(),
                endpoint: &told.endpoint,
                request_type: told.request_type(),
                end,
                error_type: error_type(end),
                failure: failure.or_else(|| Failure::of(end)),
                finish: self.finish,
                duration,
                first_token: first_token.map(Duration::from_nanos),
                per_token: self.per_token,
                input_tokens: told.input_tokens.load(Ordering::Relaxed),
                cached_tokens: told.cached_tokens.load(Ordering::Relaxed),
                output_tokens: if output_tokens > 0 { output_tokens } else { self.counted },
                told_output_tokens: output_tokens,
                media: std::array::from_fn(|i| {
                    told.media.get(i)?.load(Ordering::Relaxed).checked_sub(1)
                }),
            },
        );
    }
}

/// Dynamo's word for what went wrong; empty if nothing did.
fn error_type(end: End) -> &'static str {
    match (end.outcome, end.status.map(|status| status.as_u16())) {
        (Outcome::Success, _) => "",
        (Outcome::Cancelled, _) => "cancelled",
        (Outcome::Timeout, _) => "response_timeout",
        (Outcome::Rejected, Some(503)) => "unavailable",
        (Outcome::Rejected, _) => "overload",
        (Outcome::ClientError, Some(404)) => "not_found",
        (Outcome::ClientError, _) => "validation",
        (Outcome::ServerError, Some(501)) => "not_implemented",
        (Outcome::ServerError | Outcome::Incomplete | Outcome::Panic, _) => "internal",
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::encode;
    use crate::llm::Names;
    use crate::registry::Registry;

    fn end(outcome: Outcome, status: u16) -> End {
        End { outcome, in_body: false, status: StatusCode::from_u16(status).ok() }
    }

    #[test]
    fn error_types_are_dynamos() {
        for (outcome, status, word) in [
            (Outcome::Success, 200, ""),
            (Outcome::ClientError, 404, "not_found"),
            (Outcome::ClientError, 400, "validation"),
            (Outcome::Rejected, 429, "overload"),
            (Outcome::Rejected, 529, "overload"),
            (Outcome::Rejected, 503, "unavailable"),
            (Outcome::Cancelled, 200, "cancelled"),
            (Outcome::Timeout, 504, "response_timeout"),
            (Outcome::ServerError, 500, "internal"),
            (Outcome::ServerError, 501, "not_implemented"),
            (Outcome::ServerError, 200, "internal"),
        ] {
            assert_eq!(error_type(end(outcome, status)), word);
        }
    }

    #[test]
    fn a_model_that_is_not_served_has_no_series() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        for i in 0..100 {
            let request = frontend.request(&"completions".into());
            let mut call = FrontendCall::start(&request);
            request.model(&format!("made-up-{i}"));
            request.model("demo");
            call.end(end(Outcome::ClientError, 404), Duration::ZERO);
        }
        let text = encode::text(&registry);
        assert!(!text.contains("made-up"));
        let line = "dynamo_frontend_requests_total{endpoint=\"completions\",\
                    error_type=\"not_found\",model=\"unknown_model\",request_type=\"unary\",\
                    status=\"error\"} 100\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("dynamo_frontend_inflight_requests{model=\"unknown_model\"} 0\n"));
    }

    #[test]
    fn a_model_named_too_late_leaves_nothing_in_flight() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        let request = frontend.request(&"completions".into());
        FrontendCall::start(&request).end(end(Outcome::Success, 200), Duration::ZERO);
        request.model("demo");
        let text = encode::text(&registry);
        for gauge in ["inflight", "active", "queued"] {
            for model in ["demo", "unknown_model"] {
                let line = format!("dynamo_frontend_{gauge}_requests{{model=\"{model}\"}} 0\n");
                assert!(text.contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn a_request_is_queued_until_its_first_token_and_counts_as_started_once() {
        let registry = Registry::new();
        let frontend = FrontendMetrics::register(&registry).unwrap();
        frontend.serve("demo");
        let worker = frontend.worker(7, None, WorkerType::Decode);
        let request = frontend.request(&"chat_completions".into());
        let mut call = FrontendCall::start(&request);
        let has = |line: &str| encode::text(&registry).contains(line);
        let [queued, active] = ["queued", "active"].map(|gauge| {
            move |n: u8| format!("dynamo_frontend_{gauge}_requests{{model=\"demo\"}} {n}\n")
        });
        let started = "dynamo_frontend_requests_started_total{endpoint=\"chat_completions\",\
                       model=\"demo\",request_type=\"stream\"} 1\n";
        request.model("demo");
        request.worker(&worker);
        request.input_tokens(12);
        assert!(has(&queued(1)) && has(&active(1)) && !has("requests_started_total{"));
        call.streams();
        request.request_type(RequestType::Stream);
        assert!(has(started));
        call.first_token(Duration::from_millis(250));
        assert!(has(&queued(0)) && has(&active(1)));
        call.beat(Beat::Next { gap: Duration::from_millis(30), wait: Duration::ZERO, tokens: 3 });
        let of = "{dp_rank=\"none\",worker_id=\"7\",worker_type=\"decode\"}";
        for (name, value) in [
            ("time_to_first_token_seconds", "0.25"),
            ("input_sequence_tokens", "12"),
            ("inter_token_latency_seconds", "0.01"),
        ] {
            assert!(has(&format!("dynamo_frontend_worker_last_{name}{of} {value}\n")), "{name}");
        }
        call.end(end(Outcome::Success, 200), Duration::from_secs(1));
        assert!(has(&queued(0)) && has(&active(0)) && has(started));
    }

    #[test]
    fn a_request_of_a_model_that_is_withdrawn_brings_no_series_back() {
        let registry = Registry::new();
        let names = [Names::Dynamo, Names::GenAi, Names::Vllm];
        let frontend = FrontendMetrics::builder(&registry).names(names).register().unwrap();
        frontend.serve("demo");
        let request = frontend.request(&"completions".into());
        let mut call = FrontendCall::start(&request);
        request.model("demo");
        frontend.withdraw("demo");
        request.tokenizer_cache(1, 2);
        call.end(end(Outcome::Success, 200), Duration::ZERO);
        let text = encode::text(&registry);
        assert!(!text.contains("demo"), "{text}");
        let line = "dynamo_frontend_requests_total{endpoint=\"completions\",error_type=\"\",\
                    model=\"unknown_model\",request_type=\"unary\",status=\"success\"} 1\n";
        assert!(text.contains(line), "{text}");
        // Served again, it begins anew.
        frontend.serve("demo");
        let text = encode::text(&registry);
        assert!(text.contains("dynamo_frontend_active_requests{model=\"demo\"} 0\n"), "{text}");
    }
}
