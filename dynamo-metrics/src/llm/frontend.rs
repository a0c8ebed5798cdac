//! An inference frontend, by model: the names and labels of Dynamo's HTTP service.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::tokens;
use crate::metric::{Buckets, Counter, Histogram, NativeBuckets, UpDownCounter};
use crate::registry::{DynamicFamily, RegisterError, Scope};
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
/// | `cached_tokens` | `model` | those of them that were found in a cache, where that is known |
/// | `output_sequence_tokens` | `model` | tokens of an answer, if it had any |
/// | `output_tokens_total` | `model` | tokens generated, counted as they pass |
///
/// A model is a label only if it was [served](Self::serve).
///
/// # Unit
/// Seconds and tokens, as the names say; the rest are counts.
/// # Source
/// The request's [`EndpointMetrics`](super::EndpointMetrics) see the same start, end and tokens; the
/// model, and what the answer does not show, are what the handler tells by
/// [`RequestMetrics`](super::RequestMetrics). The model of a request of which nothing is told is the
/// one that its answer names.
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
    cached_tokens: DynamicFamily<Histogram, 1>,
    output_sequence: DynamicFamily<Histogram, 1>,
    output_tokens: DynamicFamily<Counter, 1>,
    /// Few, and served for long.
    served: ArcSwap<HashMap<Box<str>, Arc<Model>>>,
}

/// The series of one model.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: Box<str>,
    pub(super) in_flight: UpDownCounter,
    pub(super) duration: Histogram,
    pub(super) time_to_first_token: Histogram,
    pub(super) inter_token_latency: Histogram,
    pub(super) input_tokens: Histogram,
    pub(super) cached_tokens: Histogram,
    pub(super) output_sequence: Histogram,
    pub(super) output_tokens: Counter,
}

impl FrontendMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_frontend` unless the scope was given
    /// another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        let scope = scope.or_prefix("dynamo_frontend");
        let tokens = |name, help, buckets: Buckets| {
            let histogram = scope.histogram(name, help).unit(Unit::Tokens);
            histogram.buckets(&buckets).dynamic_family(["model"])
        };
        let seconds = |name, help, buckets: Buckets, native| {
            let histogram = scope.histogram(name, help).unit(Unit::Seconds);
            histogram.buckets(&buckets).native(native).dynamic_family(["model"])
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
            duration: seconds(
                "request_duration_seconds",
                "Time from the start of a request to the end of its answer.",
                Buckets::log(1.0, 512.0, 10)?,
                NativeBuckets::default(),
            )?,
            time_to_first_token: seconds(
                "time_to_first_token_seconds",
                "Time from the start of a request to its first token.",
                tokens::ttft_buckets()?,
                NativeBuckets::default(),
            )?,
            inter_token_latency: seconds(
                "inter_token_latency_seconds",
                "Time between two tokens of one answer.",
                tokens::itl_buckets()?,
                tokens::ITL_NATIVE,
            )?,
            input_tokens: tokens(
                "input_sequence_tokens",
                "Tokens of a prompt.",
                Buckets::log(50.0, 128_000.0, 12)?,
            )?,
            cached_tokens: tokens(
                "cached_tokens",
                "Tokens of a prompt that were found in a cache.",
                Buckets::log(50.0, 128_000.0, 12)?,
            )?,
            output_sequence: tokens(
                "output_sequence_tokens",
                "Tokens of an answer.",
                Buckets::log(50.0, 32_000.0, 10)?,
            )?,
            output_tokens: scope
                .counter("output_tokens_total", "Tokens generated, as they pass.")
                .unit(Unit::Tokens)
                .dynamic_family(["model"])?,
            served: ArcSwap::default(),
        })))
    }

    /// Declares that `model` is served: it becomes a label value, with series at zero.
    pub fn serve(&self, model: &str) {
        self.0.served.rcu(|served| {
            let mut served = HashMap::clone(served);
            served.entry(model.into()).or_insert_with(|| self.0.model(model));
            served
        });
    }

    /// Whether `model` was declared to be served.
    pub(super) fn serves(&self, model: &str) -> bool {
        self.0.served.load().contains_key(model)
    }

    /// The series of the model that a client calls `requested`, served or not.
    pub(super) fn model(&self, requested: &str) -> Arc<Model> {
        let served = self.0.served.load();
        let known = served.get(requested).or_else(|| served.get(UNKNOWN_MODEL));
        known.cloned().unwrap_or_else(|| {
            self.serve(UNKNOWN_MODEL);
            self.0.model(UNKNOWN_MODEL)
        })
    }

    /// Counts a request that ended.
    pub(super) fn count(&self, labels: [&str; 5]) {
        self.0.requests.with_ref(labels, Counter::inc);
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
            cached_tokens: self.cached_tokens.with([name]),
            output_sequence: self.output_sequence.with([name]),
            output_tokens: self.output_tokens.with([name]),
        })
    }
}
