//! A request of a frontend: what its handler tells of it, and what is counted at its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::frontend::{FrontendMetrics, Model, UNKNOWN_MODEL};
use super::outcome::{End, Outcome};
use super::reading::Account;
use super::stream::{ModelName, TokenSource};
use super::tokens::{Beat, observe_each};
use crate::label::LabelValue;
use crate::sync::{AtomicU8, AtomicU64, Ordering};

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
#[derive(Debug, Clone)]
pub struct RequestMetrics(Arc<Told>);

#[derive(Debug)]
struct Told {
    frontend: FrontendMetrics,
    endpoint: Arc<str>,
    model: OnceLock<Arc<Model>>,
    /// Where the request stands with its model's in-flight gauge.
    phase: AtomicU8,
    request_type: AtomicU8,
    input_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
}

/// A request of a frontend, as the answer's state holds it.
#[derive(Debug)]
pub(super) struct FrontendCall {
    told: RequestMetrics,
    /// Output tokens that were counted as they passed.
    counted: u64,
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
            request_type: AtomicU8::new(UNTOLD),
            input_tokens: AtomicU64::new(0),
            cached_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
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
        model.in_flight.inc();
        let entered =
            told.phase.compare_exchange(NAMELESS, IN_FLIGHT, Ordering::AcqRel, Ordering::Acquire);
        if entered.is_err() {
            model.in_flight.dec();
        }
    }

    /// The client asked for the answer in this way (default: as the answer turns out).
    pub fn request_type(&self, request_type: RequestType) {
        let told = match request_type {
            RequestType::Stream => STREAM,
            RequestType::Unary => UNARY,
        };
        self.0.request_type.store(told, Ordering::Relaxed);
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
}

impl Told {
    /// Takes the request out of its model's in-flight gauge, if it is there.
    fn leave(&self) {
        if self.phase.swap(ENDED, Ordering::AcqRel) == IN_FLIGHT
            && let Some(model) = self.model.get()
        {
            model.in_flight.dec();
        }
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
        Self { told: told.clone(), counted: 0 }
    }

    /// The answer is a stream.
    pub(super) fn streams(&self) {
        let request_type = &self.told.0.request_type;
        let _ = request_type.compare_exchange(UNTOLD, STREAM, Ordering::Relaxed, Ordering::Relaxed);
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
        if let Some(model) = self.told.0.model.get() {
            model.time_to_first_token.observe_duration(time);
        }
    }

    #[inline]
    pub(super) fn beat(&self, beat: Beat) {
        if let (Beat::Next { gap, tokens, .. }, Some(model)) = (beat, self.told.0.model.get()) {
            observe_each(&model.inter_token_latency, gap, tokens);
        }
    }

    pub(super) fn output_tokens(&mut self, tokens: u64) {
        self.counted += tokens;
        if let Some(model) = self.told.0.model.get() {
            model.output_tokens.inc_by(tokens);
        }
    }

    /// The answer's own account, of which so many tokens were not counted as they passed.
    pub(super) fn account(&mut self, account: &Account<'_>, uncounted: u64) {
        self.answers_as(&account.seen.model);
        if uncounted > 0 {
            self.output_tokens(uncounted);
        }
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
        let request_type = match told.request_type.load(Ordering::Relaxed) {
            STREAM => RequestType::Stream,
            _ => RequestType::Unary,
        };
        let success = end.outcome == Outcome::Success;
        told.frontend.count([
            &model.name,
            &told.endpoint,
            request_type.as_label(),
            if success { "success" } else { "error" },
            error_type(end),
        ]);
        model.duration.observe_duration(duration);
        let input_tokens = told.input_tokens.load(Ordering::Relaxed);
        if input_tokens > 0 {
            model.input_tokens.observe(input_tokens as f64);
        }
        let cached_tokens = told.cached_tokens.load(Ordering::Relaxed);
        if cached_tokens > 0 {
            model.cached_tokens.observe(cached_tokens as f64);
        }
        let output_tokens = told.output_tokens.load(Ordering::Relaxed);
        // An answer in one piece was told of, and passed unread.
        model.output_tokens.inc_by(output_tokens.saturating_sub(self.counted));
        let tokens = if output_tokens > 0 { output_tokens } else { self.counted };
        if tokens > 0 {
            model.output_sequence.observe(tokens as f64);
        }
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
        assert!(text.contains("dynamo_frontend_inflight_requests{model=\"demo\"} 0\n"));
        assert!(text.contains("dynamo_frontend_inflight_requests{model=\"unknown_model\"} 0\n"));
    }
}
