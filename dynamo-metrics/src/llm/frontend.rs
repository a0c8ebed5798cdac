//! An inference frontend, by model: the names and labels of Dynamo's HTTP service.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::tokens;
use crate::metric::{Buckets, Counter, Histogram, UpDownCounter};
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

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
    set: FrontendSet,
    /// Few, and served for long.
    served: ArcSwap<HashMap<Box<str>, Arc<Model>>>,
}

/// An inference frontend, by model.
///
/// # Source
/// The layer of a frontend's route, and what the handler tells.
#[derive(Debug, MetricSet)]
#[metric_set(name = "FrontendMetrics", prefix = "dynamo_frontend")]
pub(super) struct FrontendSet {
    /// Requests that ended.
    #[metric(labels(model, endpoint, request_type, status, error_type))]
    requests_total: DynamicFamily<Counter, 5>,
    /// Requests that are being answered.
    #[metric(labels(model))]
    inflight_requests: DynamicFamily<UpDownCounter, 1>,
    /// Time from the start of a request to the end of its answer.
    #[metric(labels(model), unit = seconds, buckets = Buckets::log(1.0, 512.0, 10), native)]
    request_duration_seconds: DynamicFamily<Histogram, 1>,
    /// Time from the start of a request to its first token.
    #[metric(labels(model), unit = seconds, buckets = tokens::ttft_buckets, native)]
    time_to_first_token_seconds: DynamicFamily<Histogram, 1>,
    /// Time between two tokens of one answer.
    #[metric(
        labels(model), unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE
    )]
    inter_token_latency_seconds: DynamicFamily<Histogram, 1>,
    /// Tokens of a prompt.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 128_000.0, 12))]
    input_sequence_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens of a prompt that were found in a cache.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 128_000.0, 12))]
    cached_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens of an answer.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 32_000.0, 10))]
    output_sequence_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens generated, as they pass.
    #[metric(labels(model), unit = tokens)]
    output_tokens_total: DynamicFamily<Counter, 1>,
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
        let (set, served) = (FrontendSet::register(scope)?, ArcSwap::default());
        Ok(Self(Arc::new(Families { set, served })))
    }

    /// Declares that `model` is served: it becomes a label value, with series at zero.
    pub fn serve(&self, model: &str) {
        self.0.served.rcu(|served| {
            let mut served = HashMap::clone(served);
            served.entry(model.into()).or_insert_with(|| self.0.set.model(model));
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
            self.0.set.model(UNKNOWN_MODEL)
        })
    }

    /// Counts a request that ended.
    pub(super) fn count(&self, labels: [&str; 5]) {
        self.0.set.requests_total.with_ref(labels, Counter::inc);
    }
}

impl FrontendSet {
    fn model(&self, name: &str) -> Arc<Model> {
        Arc::new(Model {
            name: name.into(),
            in_flight: self.inflight_requests.with([name]),
            duration: self.request_duration_seconds.with([name]),
            time_to_first_token: self.time_to_first_token_seconds.with([name]),
            inter_token_latency: self.inter_token_latency_seconds.with([name]),
            input_tokens: self.input_sequence_tokens.with([name]),
            cached_tokens: self.cached_tokens.with([name]),
            output_sequence: self.output_sequence_tokens.with([name]),
            output_tokens: self.output_tokens_total.with([name]),
        })
    }
}
