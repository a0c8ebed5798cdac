//! What is measured of an endpoint: the one set that the layer and the attribute both feed.

mod builder;

pub use builder::EndpointBuilder;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::attribute::Known;
use super::call::Terms;
use super::idle::Open;
use super::options::{EndpointOptions, TokenStart};
use super::outcome::{ERROR_TYPES, End, ErrorType, OUTCOMES, Outcome};
use super::queue::QueueMetrics;
use super::reading::Account;
use super::slo::{Measured, SloMetrics};
use super::stream::ChooseReader;
use super::streams::StreamMetrics;
use crate::clock::Instant;
use crate::metric::{Counter, Histogram, UpDownCounter};
use crate::registry::{MetricSet, OpenFamily, RegisterError, Scope};

/// The prefix where the scope has none of its own.
pub(super) const PREFIX: &str = "dynamo_component";

/// Bounds of Dynamo's work handler, in seconds.
const DURATION_BOUNDS: [f64; 17] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
    600.0,
];

/// What is measured of one endpoint, under the names of Dynamo's work handler.
///
/// | metric (`dynamo_component_` ..) | what it says |
/// |---|---|
/// | `requests_started_total` | requests that came in |
/// | `requests_total` | requests that ended, whatever way |
/// | `request_outcomes_total{outcome}` | the same, by [`Outcome`] |
/// | `cancellation_total` | requests whose client left before the end |
/// | `errors_total{error_type}` | requests that failed, by [`ErrorType`] |
/// | `inflight_requests` | requests between their start and the end of their answer; also as `concurrent_requests` |
/// | `request_duration_seconds` | that time, for every outcome |
/// | `response_head_seconds` | from the start to the head of the answer |
/// | `queue_seconds` | from arrival to start; only behind an accept layer |
/// | `cancelled_after_seconds{phase}` | from the start to when the client left, before the answer's `head` or in its `body` |
/// | `request_bytes_total`, `response_bytes_total` | bytes of bodies, as they pass |
///
/// Of streams, and of tokens:
///
/// | metric (`dynamo_component_` ..) | what it says |
/// |---|---|
/// | `time_to_first_byte_seconds` | from the start to the first byte of a stream |
/// | `time_to_first_token_seconds` | from the start to the first content; see [`FirstToken`](super::FirstToken) |
/// | `time_to_first_answer_token_seconds` | from the start to the first content after reasoning, if there was reasoning |
/// | `inter_token_latency_seconds` | between tokens, as they are handed on; see [`InterToken`](super::InterToken) |
/// | `inter_token_wait_seconds` | the part of it in which the next token was asked for and not there: the producer's share |
/// | `stream_stall_seconds` | the time in which nothing was asked for, by stream: the client's share |
/// | `time_per_output_token_seconds` | the mean time of a token after the first chunk, by successful stream of two or more |
/// | `output_tokens_per_second` | tokens of a successful stream by its whole duration |
/// | `output_tokens_total` | tokens generated, as they pass |
/// | `estimated_output_tokens_total` | those of them that are chunks whose tokens nobody told |
/// | `input_tokens_total`, `cached_tokens_total`, `reasoning_tokens_total` | tokens as answers tell them: of prompts, of these from a cache, of output that is reasoning |
/// | `streams_without_token_total` | streams that ended without a token |
/// | `finished_answers_total{finish_reason}` | answers, by why the model ended them |
/// | `uninspected_answers_total{reason}` | answers of which something passed by unread |
/// | `generation_time_to_first_token_seconds`, `generation_inter_token_latency_seconds` | the same where tokens are made, as a [`StreamMeter`](super::StreamMeter) says |
/// | `slo_requests_total{slo,met}`, `slo_threshold_seconds{slo}`, `slo_good_output_tokens_total` | requests by objective, and tokens of those that met all; with an [`Slo`](super::Slo) |
///
/// The metrics of streams and tokens appear when there is something to say; those of objectives are
/// there from the beginning.
///
/// # Unit
/// Seconds, bytes and tokens, as the names say; the rest are counts.
/// # Source
/// A request starts when the service or the function is called, and ends when its answer's body, its
/// stream or its value does; tokens are counted when their frame or item is handed on.
#[derive(Debug, Clone)]
pub struct EndpointMetrics(Arc<Metrics>);

/// An endpoint's metrics, for as long as somebody else keeps them.
#[derive(Debug, Clone)]
pub(super) struct WeakEndpoint(Weak<Metrics>);

struct Metrics {
    /// First, so that it lies beside the count of the handles, which each request changes as well.
    open: Open,
    id: u64,
    set: EndpointSet,
    /// The set's errors, by labels that users give them.
    named_errors: OpenFamily<Counter>,
    streams: StreamMetrics,
    slo: Option<SloMetrics>,
    token_start: TokenStart,
    /// Asked where a panic is caught, and nothing of it is used after one.
    reader: Option<AssertUnwindSafe<ChooseReader>>,
    last_reader: Option<AssertUnwindSafe<ChooseReader>>,
}

/// The requests of an endpoint, under the names of Dynamo's work handler and a few more.
///
/// # Source
/// A request starts when the service or the function is called, and ends when its answer's body, its
/// stream or its value does.
#[derive(Debug, MetricSet)]
#[metric_set(name = "EndpointMetrics", prefix = PREFIX)]
pub(super) struct EndpointSet {
    /// Requests that came in.
    requests_started_total: Counter,
    /// Requests that ended, whatever way.
    requests_total: Counter,
    /// Requests that ended, by how they did.
    #[metric(name = "request_outcomes_total", each(outcome: Outcome))]
    outcomes: [Counter; OUTCOMES.len()],
    /// Requests that failed, by what went wrong.
    #[metric(name = "errors_total", each(error_type: ErrorType))]
    errors: [Counter; ERROR_TYPES.len()],
    /// Requests whose client left before the end.
    cancellation_total: Counter,
    /// Requests between their start and the end of their answer.
    #[metric(alias = "concurrent_requests")]
    inflight_requests: UpDownCounter,
    /// Time from the start of a request to the end of its answer.
    #[metric(unit = seconds, buckets = DURATION_BOUNDS, native)]
    request_duration_seconds: Histogram,
    /// Time from the start of a request to the head of its answer.
    #[metric(unit = seconds, buckets = DURATION_BOUNDS, native)]
    response_head_seconds: Histogram,
    /// Bytes of request bodies read.
    ///
    /// # Source
    /// Frames of the request's body, as the service reads them.
    #[metric(unit = bytes)]
    request_bytes_total: Counter,
    /// Bytes of response bodies sent.
    ///
    /// # Source
    /// Frames of the response's body, as they are handed on.
    #[metric(unit = bytes)]
    response_bytes_total: Counter,
    #[metric(flatten)]
    queue: QueueMetrics,
}

/// What is kept at a place of the tree, beside its metrics.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The endpoints that attributes use here.
    pub(super) known: Known,
    /// The choices of whoever registered the endpoint here first.
    options: OnceLock<EndpointOptions>,
    /// When uptime was first registered here.
    pub(super) started: OnceLock<Instant>,
}

impl EndpointMetrics {
    /// Registers the set in `scope`, mostly an endpoint's.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{llm::EndpointMetrics, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let scope = registry.namespace("prod").component("backend").endpoint("generate");
    /// let generate = EndpointMetrics::register(&scope)?;
    /// assert_eq!(generate.in_flight(), 0);
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Self::register_with(scope, &[])
    }

    /// The same, with labels that tell a part of the endpoint's requests from the rest.
    ///
    /// # Errors
    /// As [`register`](Self::register); [`RegisterError::Label`] for labels that cannot be.
    pub fn register_with(scope: &Scope, labels: &[(&str, &str)]) -> Result<Self, RegisterError> {
        Self::builder(scope).labels(labels).register()
    }

    /// Registers the set in `scope`, with choices.
    pub fn builder(scope: &Scope) -> EndpointBuilder<'_> {
        EndpointBuilder::new(scope)
    }

    /// The choices that the endpoint of this place was registered with, or the defaults.
    pub(super) fn options_at(place: &Scope) -> EndpointOptions {
        let kept: Option<&Kept> = place.slot();
        kept.and_then(|kept| kept.options.get()).cloned().unwrap_or_default()
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.0.set.inflight_requests.get()
    }

    /// Requests that ended with `outcome`.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.0.set.outcomes[outcome as usize].get()
    }

    /// Requests that failed with `error`.
    #[must_use]
    pub fn failed(&self, error: ErrorType) -> u64 {
        self.0.set.errors[error as usize].get()
    }

    /// Counts an error of a request that its end does not show: a worker of Dynamo's takes messages
    /// and sends answers through channels of its own, where no layer sees them fail.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::{EndpointMetrics, ErrorType};
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let scope = Registry::new().component("backend").endpoint("generate");
    /// let labels = [("model", "llama"), ("model_name", "llama")];
    /// let generate = EndpointMetrics::register_with(&scope, &labels)?;
    /// generate.error(ErrorType::Deserialization);
    /// assert_eq!(generate.failed(ErrorType::Deserialization), 1);
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn error(&self, error: ErrorType) {
        self.0.set.errors[error as usize].inc();
    }

    /// Ready when none of the endpoint's requests that a layer counts through this handle or its
    /// clones is open; else the task is woken when there is none, and has to ask again.
    pub fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.open.poll_idle(cx)
    }

    pub(super) fn open(&self) -> &Open {
        &self.0.open
    }

    /// Counts what is read from request bodies.
    #[must_use]
    pub fn request_bytes(&self) -> &Counter {
        &self.0.set.request_bytes_total
    }

    /// A request that is about to start has waited so long since it arrived.
    pub fn queued(&self, waited: Duration) {
        self.0.set.queue.observe(waited);
    }

    pub(super) fn response_bytes(&self) -> &Counter {
        &self.0.set.response_bytes_total
    }

    /// Whether its series were not removed.
    pub(super) fn is_shown(&self) -> bool {
        self.0.set.requests_total.is_shown()
    }

    pub(super) fn downgrade(&self) -> WeakEndpoint {
        WeakEndpoint(Arc::downgrade(&self.0))
    }

    /// Tells one endpoint from another, whatever other labels its series have.
    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(super) fn start(&self, terms: Terms) {
        self.0.set.requests_started_total.inc();
        if terms.in_flight {
            self.0.set.inflight_requests.inc();
        }
    }

    /// A call that was in flight is it no longer.
    pub(super) fn leave(&self) {
        self.0.set.inflight_requests.dec();
    }

    /// The head of an answer is there, so long after the start.
    pub(super) fn head(&self, time: Duration) {
        self.0.set.response_head_seconds.observe_duration(time);
    }

    /// A call ended, with the label of what went wrong, if that has one of its own, and with what its
    /// answer came to and when it ended, if that was read.
    pub(super) fn end(
        &self,
        end: End,
        duration: Duration,
        error: Option<&str>,
        account: Option<(&Account<'_>, Instant)>,
    ) {
        let set = &self.0.set;
        set.requests_total.inc();
        set.outcomes[end.outcome as usize].inc();
        if end.outcome == Outcome::Cancelled {
            set.cancellation_total.inc();
            self.0.streams.cancelled(duration, end.in_body || end.status.is_some());
        }
        match (ErrorType::of(end), error) {
            (None, _) => {}
            (Some(error), None) => set.errors[error as usize].inc(),
            (Some(_), Some(error)) => {
                if let Some(errors) = self.0.named_errors.with(&[error]) {
                    errors.inc();
                }
            }
        }
        set.request_duration_seconds.observe_duration(duration);
        if account.is_some() || self.0.slo.is_some() {
            self.account(end.outcome, duration, account);
        }
    }

    #[inline(never)]
    fn account(
        &self,
        outcome: Outcome,
        duration: Duration,
        account: Option<(&Account<'_>, Instant)>,
    ) {
        let mut measured = Measured::unread(outcome, duration);
        if let Some((account, now)) = account {
            self.0.streams.account(account, now, &mut measured);
        }
        if let Some(slo) = &self.0.slo {
            slo.count(&measured);
        }
    }

    /// What is measured of its streams.
    #[inline]
    pub(super) fn streams(&self) -> &StreamMetrics {
        &self.0.streams
    }

    /// Where the times of its tokens begin.
    #[must_use]
    pub fn token_start(&self) -> TokenStart {
        self.0.token_start
    }

    /// Who does, if nobody else has.
    pub(super) fn last_reader(&self) -> Option<&ChooseReader> {
        self.0.last_reader.as_deref()
    }

    /// Who chooses how its answers are read.
    pub(super) fn reader(&self) -> Option<&ChooseReader> {
        self.0.reader.as_deref()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("id", &self.id).finish_non_exhaustive()
    }
}

impl WeakEndpoint {
    #[inline]
    pub(super) fn upgrade(&self) -> Option<EndpointMetrics> {
        self.0.upgrade().map(EndpointMetrics)
    }
}
