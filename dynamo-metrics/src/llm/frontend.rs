//! An inference frontend, by model: the names and labels of Dynamo's HTTP service.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use papaya::HashMap;

use super::outcome::{End, Outcome};
use super::stream::Usage;
use super::tokens::{self, Beat};
use crate::label::LabelValue;
use crate::metric::{Buckets, Counter, Histogram, UpDownCounter};
use crate::registry::{DynamicFamily, RegisterError, Scope};
use crate::sync::{AtomicU8, AtomicU64, Ordering};
use crate::unit::Unit;

/// The model label of a request for a model that is not served, whatever the client called it.
pub const UNKNOWN_MODEL: &str = "unknown_model";

/// What is measured of an inference frontend, under the names of Dynamo's.
///
/// | metric (`dynamo_frontend_` ..) | labels | what it says |
/// |---|---|---|
/// | `requests_total` | `model`, `endpoint`, `request_type`, `status`, `error_type` | requests that ended |
/// | `inflight_requests` | `model` | requests between naming their model and the end of their answer |
/// | `request_duration_seconds` | `model` | from the start of a request to the end of its answer |
/// | `time_to_first_token_seconds` | `model` | from the start to the first content event; streams only |
/// | `inter_token_latency_seconds` | `model` | between tokens; streams only |
/// | `input_sequence_tokens` | `model` | tokens of a prompt, where they are known |
/// | `output_sequence_tokens` | `model` | tokens of an answer, if it had any |
/// | `output_tokens_total` | `model` | tokens generated, counted as they pass |
///
/// A model is a label only if it was [served](Self::serve).
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, llm::FrontendMetrics, registry::Registry};
///
/// let registry = Registry::new();
/// let frontend = FrontendMetrics::register(&registry)?;
/// frontend.serve("llama");
/// assert!(encode::text(&registry).contains("dynamo_frontend_inflight_requests{model=\"llama\"} 0"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrontendMetrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    requests: DynamicFamily<Counter, 5>,
    in_flight: DynamicFamily<UpDownCounter, 1>,
    duration: DynamicFamily<Histogram, 1>,
    time_to_first_token: DynamicFamily<Histogram, 1>,
    inter_token_latency: DynamicFamily<Histogram, 1>,
    input_tokens: DynamicFamily<Histogram, 1>,
    output_sequence: DynamicFamily<Histogram, 1>,
    output_tokens: DynamicFamily<Counter, 1>,
    served: HashMap<Box<str>, Arc<Model>>,
}

/// The series of one model.
#[derive(Debug)]
struct Model {
    name: Box<str>,
    in_flight: UpDownCounter,
    duration: Histogram,
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    input_tokens: Histogram,
    output_sequence: Histogram,
    output_tokens: Counter,
}

/// Whether a request asks for its answer as a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
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
    output_tokens: AtomicU64,
}

/// Phases of a request: before its model is known, in flight, at its end.
const NAMELESS: u8 = 0;
const IN_FLIGHT: u8 = 1;
const ENDED: u8 = 2;

/// Request types as they are told: not at all, stream, unary.
const UNTOLD: u8 = 0;
const STREAM: u8 = 1;
const UNARY: u8 = 2;

/// A request of a frontend, as the answer's state holds it.
#[derive(Debug)]
pub(super) struct FrontendCall {
    told: RequestMetrics,
    /// Output tokens that were counted as they passed.
    counted: u64,
}

impl FrontendMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_frontend` unless the scope was given
    /// another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let scope = scope.or_prefix("dynamo_frontend");
        let by_model = |name, help, buckets: Buckets, unit| {
            scope.histogram(name, help).unit(unit).buckets(&buckets).dynamic_family(["model"])
        };
        Ok(Self(Arc::new(Families {
            requests: scope.counter("requests_total", "Requests that ended.").dynamic_family([
                "model",
                "endpoint",
                "request_type",
                "status",
                "error_type",
            ])?,
            in_flight: scope
                .up_down_counter("inflight_requests", "Requests that are being answered.")
                .dynamic_family(["model"])?,
            duration: by_model(
                "request_duration_seconds",
                "Time from the start of a request to the end of its answer.",
                Buckets::log(1.0, 512.0, 10)?,
                Unit::Seconds,
            )?,
            time_to_first_token: by_model(
                "time_to_first_token_seconds",
                "Time from the start of a request to its first token.",
                tokens::ttft_buckets()?,
                Unit::Seconds,
            )?,
            inter_token_latency: by_model(
                "inter_token_latency_seconds",
                "Time between two tokens of one answer.",
                tokens::itl_buckets()?,
                Unit::Seconds,
            )?,
            input_tokens: by_model(
                "input_sequence_tokens",
                "Tokens of a prompt.",
                Buckets::log(50.0, 128_000.0, 12)?,
                Unit::Tokens,
            )?,
            output_sequence: by_model(
                "output_sequence_tokens",
                "Tokens of an answer.",
                Buckets::log(50.0, 32_000.0, 10)?,
                Unit::Tokens,
            )?,
            output_tokens: scope
                .counter("output_tokens_total", "Tokens generated, as they pass.")
                .unit(Unit::Tokens)
                .dynamic_family(["model"])?,
            served: HashMap::new(),
        })))
    }

    /// Declares that `model` is served: it becomes a label value, with series at zero.
    pub fn serve(&self, model: &str) {
        self.0.served.pin().get_or_insert_with(model.into(), || self.0.model(model));
    }

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
            output_tokens: AtomicU64::new(0),
        }))
    }
}

impl Families {
    fn model(&self, name: &str) -> Arc<Model> {
        Arc::new(Model {
            name: name.into(),
            in_flight: self.in_flight.with([name]),
            duration: self.duration.with([name]),
            time_to_first_token: self.time_to_first_token.with([name]),
            inter_token_latency: self.inter_token_latency.with([name]),
            input_tokens: self.input_tokens.with([name]),
            output_sequence: self.output_sequence.with([name]),
            output_tokens: self.output_tokens.with([name]),
        })
    }
}

impl RequestMetrics {
    /// The request is for the model that the client calls `requested`. The first call counts.
    ///
    /// If no such model is [served](FrontendMetrics::serve), it is [`UNKNOWN_MODEL`]'s.
    pub fn model(&self, requested: &str) {
        let told = &*self.0;
        let served = told.frontend.0.served.pin();
        let model = match served.get(requested) {
            Some(model) => model,
            None => served
                .get_or_insert_with(UNKNOWN_MODEL.into(), || told.frontend.0.model(UNKNOWN_MODEL)),
        };
        if told.model.set(Arc::clone(model)).is_err() {
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

    pub(super) fn beat(&self, beat: Beat) {
        if let Some(model) = self.told.0.model.get() {
            beat.observe(&model.time_to_first_token, &model.inter_token_latency);
        }
    }

    pub(super) fn output_tokens(&mut self, tokens: u64) {
        self.counted += tokens;
        if let Some(model) = self.told.0.model.get() {
            model.output_tokens.inc_by(tokens);
        }
    }

    /// The stream's own account, of which so many tokens were not counted as they passed.
    pub(super) fn usage(&mut self, usage: Usage, uncounted: u64) {
        if uncounted > 0 {
            self.output_tokens(uncounted);
        }
        let told = &self.told.0;
        for (place, tokens) in
            [(&told.input_tokens, usage.input_tokens), (&told.output_tokens, usage.output_tokens)]
        {
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
        told.frontend
            .0
            .requests
            .with([
                &model.name,
                &told.endpoint,
                request_type.as_label(),
                if success { "success" } else { "error" },
                error_type(end),
            ])
            .inc();
        model.duration.observe_duration(duration);
        let input_tokens = told.input_tokens.load(Ordering::Relaxed);
        if input_tokens > 0 {
            model.input_tokens.observe(input_tokens as f64);
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
