//! What is measured of an endpoint: the one set that the layer and the attribute both feed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use super::attribute::Known;
use super::call::Terms;
use super::idle::Open;
use super::outcome::{ERROR_TYPES, End, ErrorType, OUTCOMES, Outcome};
use super::queue::QueueMetrics;
use super::tokens::{self, Beat};
use crate::clock::{self, Instant};
use crate::label::LabelSet;
use crate::metric::{
    Buckets, BucketsError, Counter, FloatGauge, Histogram, NativeBuckets, UpDownCounter,
};
use crate::registry::{Family, OpenFamily, RegisterError, Scope};
use crate::unit::Unit;

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
/// | `queue_seconds` | from arrival to start; only behind an accept layer |
/// | `request_bytes_total`, `response_bytes_total` | bytes of bodies, as they pass |
/// | `time_to_first_token_seconds` | from the start to the first content event; streams only |
/// | `inter_token_latency_seconds` | between tokens; streams only |
/// | `output_tokens_total` | tokens generated; streams only |
/// | `endpoint_info{help}` | what the endpoint does, where an attribute says so |
///
/// The metrics of streams appear with the first stream.
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

#[derive(Debug)]
struct Metrics {
    /// First, so that it lies beside the count of the handles, which each request changes as well.
    open: Open,
    id: u64,
    started: Counter,
    requests: Counter,
    outcomes: [Counter; OUTCOMES.len()],
    errors: [Counter; ERROR_TYPES.len()],
    /// The same family, for errors that users name.
    named_errors: OpenFamily<Counter>,
    cancellations: Counter,
    in_flight: UpDownCounter,
    duration: Histogram,
    request_bytes: Counter,
    response_bytes: Counter,
    queue: QueueMetrics,
    stream_families: StreamFamilies,
    stream: OnceLock<StreamMetrics>,
}

/// What histograms are asked to be, where they are not as usual.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    pub(super) duration: Option<&'static [f64]>,
    pub(super) ttft: Option<&'static [f64]>,
    pub(super) itl: Option<&'static [f64]>,
    pub(super) exemplars: bool,
}

/// Registered with the rest, so that a conflict shows at once; made when the first stream comes.
#[derive(Debug)]
struct StreamFamilies {
    time_to_first_token: Family<NoLabels, Histogram>,
    inter_token_latency: Family<NoLabels, Histogram>,
    output_tokens: Family<NoLabels, Counter>,
}

#[derive(Debug)]
struct StreamMetrics {
    time_to_first_token: Histogram,
    inter_token_latency: Histogram,
    output_tokens: Counter,
}

/// What is kept at a place of the tree, beside its metrics.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The endpoints that attributes use here.
    pub(super) known: Known,
    /// When uptime was first registered here.
    started: OnceLock<Instant>,
}

#[derive(LabelSet)]
struct NoLabels {}

#[derive(LabelSet)]
struct ByOutcome {
    outcome: Outcome,
}

#[derive(LabelSet)]
struct ByErrorType {
    error_type: ErrorType,
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
        Self::register_as(scope.id(), scope, labels, &Asked::default())
    }

    /// The same, with histograms as they are asked for.
    pub(super) fn register_asked(
        scope: &Scope,
        labels: &[(&str, &str)],
        asked: &Asked,
    ) -> Result<Self, RegisterError> {
        Self::register_as(scope.id(), scope, labels, asked)
    }

    fn register_as(
        id: u64,
        scope: &Scope,
        labels: &[(&str, &str)],
        asked: &Asked,
    ) -> Result<Self, RegisterError> {
        let scope = scope.or_prefix(PREFIX);
        let counter = |name, help| scope.counter(name, help).labels(labels);
        let seconds = |name, help| {
            let builder = scope.histogram(name, help).unit(Unit::Seconds).labels(labels);
            if asked.exemplars { builder.exemplars() } else { builder }
        };
        let in_flight = scope
            .up_down_counter(
                "inflight_requests",
                "Requests between their start and the end of their answer.",
            )
            .alias("concurrent_requests")
            .labels(labels);
        let outcomes: Family<ByOutcome, Counter> =
            counter("request_outcomes_total", "Requests that ended, by how they did.").family()?;
        let errors = || counter("errors_total", "Requests that failed, by what went wrong.");
        let named_errors = errors().named_family(ByErrorType::NAMES)?;
        let errors: Family<ByErrorType, Counter> = errors().family()?;
        Ok(Self(Arc::new(Metrics {
            open: Open::new(),
            id,
            started: counter("requests_started_total", "Requests that came in.").register()?,
            requests: counter("requests_total", "Requests that ended, whatever way.").register()?,
            outcomes: OUTCOMES.map(|outcome| outcomes.with(&ByOutcome { outcome })),
            errors: ERROR_TYPES.map(|error_type| errors.with(&ByErrorType { error_type })),
            named_errors,
            cancellations: counter(
                "cancellation_total",
                "Requests whose client left before the end.",
            )
            .register()?,
            in_flight: in_flight.register()?,
            duration: seconds(
                "request_duration_seconds",
                "Time from the start of a request to the end of its answer.",
            )
            .buckets(asked.duration.unwrap_or(&DURATION_BOUNDS).iter().copied())
            .native(NativeBuckets::default())
            .register()?,
            request_bytes: counter("request_bytes_total", "Bytes of request bodies read.")
                .unit(Unit::Bytes)
                .register()?,
            response_bytes: counter("response_bytes_total", "Bytes of response bodies sent.")
                .unit(Unit::Bytes)
                .register()?,
            queue: QueueMetrics::register(&scope, labels)?,
            stream_families: StreamFamilies {
                time_to_first_token: seconds(
                    "time_to_first_token_seconds",
                    "Time from the start of a request to its first token.",
                )
                .buckets(&of(asked.ttft, tokens::ttft_buckets)?)
                .native(NativeBuckets::default())
                .family()?,
                inter_token_latency: seconds(
                    "inter_token_latency_seconds",
                    "Time between two tokens of one answer.",
                )
                .buckets(&of(asked.itl, tokens::itl_buckets)?)
                .native(tokens::ITL_NATIVE)
                .family()?,
                output_tokens: counter(
                    "output_tokens_total",
                    "Tokens generated; a chunk is one where its tokens are not told.",
                )
                .unit(Unit::Tokens)
                .family()?,
            },
            stream: OnceLock::new(),
        })))
    }

    /// The set of requests that this process makes, and does not serve: they count wherever they are
    /// made, also within the service of an endpoint at the same place.
    ///
    /// # Errors
    /// As [`register`](Self::register).
    pub fn register_upstream(
        scope: &Scope,
        labels: &[(&str, &str)],
    ) -> Result<Self, RegisterError> {
        static NEXT: AtomicU64 = AtomicU64::new(u64::MAX);
        // Places count up from zero, so that no place has this number.
        let id = NEXT.fetch_sub(1, Ordering::Relaxed);
        Self::register_as(id, scope, labels, &Asked::default())
    }

    /// Requests that are being answered now.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.0.in_flight.get()
    }

    /// Requests that ended with `outcome`.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.0.outcomes[outcome as usize].get()
    }

    /// Requests that failed with `error`.
    #[must_use]
    pub fn failed(&self, error: ErrorType) -> u64 {
        self.0.errors[error as usize].get()
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
        &self.0.request_bytes
    }

    /// A request that is about to start has waited so long since it arrived.
    pub fn queued(&self, waited: Duration) {
        self.0.queue.observe(waited);
    }

    pub(super) fn response_bytes(&self) -> &Counter {
        &self.0.response_bytes
    }

    /// Whether its series were not removed.
    pub(super) fn is_shown(&self) -> bool {
        self.0.requests.is_shown()
    }

    pub(super) fn downgrade(&self) -> WeakEndpoint {
        WeakEndpoint(Arc::downgrade(&self.0))
    }

    /// Tells one endpoint from another, whatever other labels its series have.
    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(super) fn start(&self, terms: Terms) {
        self.0.started.inc();
        if terms.in_flight {
            self.0.in_flight.inc();
        }
    }

    /// A request that was in flight is it no longer.
    pub(super) fn leave(&self) {
        self.0.in_flight.dec();
    }

    /// A request ended; `named` is what went wrong, if that has a name of its own.
    pub(super) fn end(&self, end: End, duration: Duration, named: Option<&str>) {
        self.0.requests.inc();
        self.0.outcomes[end.outcome as usize].inc();
        if end.outcome == Outcome::Cancelled {
            self.0.cancellations.inc();
        }
        match (ErrorType::of(end), named) {
            (None, _) => {}
            (Some(error), None) => self.0.errors[error as usize].inc(),
            (Some(_), Some(named)) => {
                if let Some(errors) = self.0.named_errors.with(&[named]) {
                    errors.inc();
                }
            }
        }
        self.0.duration.observe_duration(duration);
    }

    pub(super) fn beat(&self, beat: Beat) {
        let stream = self.stream();
        beat.observe(&stream.time_to_first_token, &stream.inter_token_latency);
    }

    pub(super) fn output_tokens(&self, tokens: u64) {
        self.stream().output_tokens.inc_by(tokens);
    }

    /// The metrics of streams, made when they are first asked for.
    fn stream(&self) -> &StreamMetrics {
        self.0.stream.get_or_init(|| {
            let families = &self.0.stream_families;
            StreamMetrics {
                time_to_first_token: families.time_to_first_token.with(&NoLabels {}),
                inter_token_latency: families.inter_token_latency.with(&NoLabels {}),
                output_tokens: families.output_tokens.with(&NoLabels {}),
            }
        })
    }
}

impl WeakEndpoint {
    #[inline]
    pub(super) fn upgrade(&self) -> Option<EndpointMetrics> {
        self.0.upgrade().map(EndpointMetrics)
    }
}

/// The buckets that are asked for, or the usual ones.
fn of(
    asked: Option<&[f64]>,
    usual: impl FnOnce() -> Result<Buckets, BucketsError>,
) -> Result<Buckets, BucketsError> {
    asked.map_or_else(usual, |bounds| Buckets::new(bounds.iter().copied()))
}

/// Registers `dynamo_component_uptime_seconds` in `scope`: time since the first call for this scope.
///
/// # Unit
/// Seconds, refreshed at each gather.
///
/// # Errors
/// [`RegisterError::Conflict`], if the name is taken by something else.
pub fn register_uptime(scope: &Scope) -> Result<(), RegisterError> {
    let scope = scope.or_prefix(PREFIX);
    let uptime: FloatGauge = scope
        .float_gauge("uptime_seconds", "Time since the component started.")
        .unit(Unit::Seconds)
        .register()?;
    let kept: Option<&Kept> = scope.slot();
    let start = clock::now();
    if kept.is_some_and(|kept| kept.started.set(start).is_ok()) {
        scope.add_update_callback(move || uptime.set(start.elapsed().as_secs_f64()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Manual;
    use crate::encode;
    use crate::registry::Registry;

    #[test]
    fn uptime_counts_from_the_first_registration() {
        let time = Manual::new();
        time.run(|| {
            let registry = Registry::new();
            let scope = registry.component("c");
            register_uptime(&scope).unwrap();
            time.advance(Duration::from_secs(100));
            register_uptime(&scope).unwrap();
            time.advance(Duration::from_secs(1));
            let text = encode::text(&registry);
            assert!(text.ends_with("uptime_seconds{dynamo_component=\"c\"} 101\n"), "{text}");
        });
    }
}
