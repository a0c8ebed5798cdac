//! An inference frontend, by model: the names and labels of Dynamo's HTTP service, or of others.

mod admission;
mod environment;
mod event_loop;
mod failure;
mod finished;
mod lora;
mod model;
mod others;
mod set;
mod stages;
mod workers;

pub use admission::{AdmissionMetrics, AdmissionQueue, AdmissionReject, QueueLimit};
pub use event_loop::EventLoopMetrics;
pub(super) use failure::Failure;
pub use failure::{FailureClass, FailureReason};
pub(super) use finished::Finished;
pub use lora::{LoraAdapter, LoraMetrics};
pub(super) use model::Model;
pub use model::{MigrationOutcome, MigrationType, ServedModel};
pub use stages::{ServingPhase, Stage, StageGuard};
pub use workers::{Worker, WorkerType};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::names::Names;
use others::{GenAiSet, VllmSet};
use set::{FrontendSet, Operation};
use stages::StageSet;
use workers::{WorkerSet, Workers};

use crate::metric::Counter;
use crate::registry::catalogue::Known;
use crate::registry::{MetricSet, RegisterError, Scope};

/// The sets of this module, for the catalogue.
pub(super) const SETS: &[Known] = &[
    Known::of::<FrontendSet>(),
    Known::of::<StageSet>(),
    Known::of::<WorkerSet>(),
    Known::of::<GenAiSet>(),
    Known::of::<VllmSet>(),
    Known::of::<admission::AdmissionSet>(),
    Known::of::<lora::LoraSet>(),
    Known::of::<EventLoopMetrics>(),
];

/// The model label of a request for a model that is not served, whatever the client called it.
pub const UNKNOWN_MODEL: &str = "unknown_model";

/// The engine of a vLLM server, which has them numbered; a frontend is one.
const ENGINE: &str = "0";

/// Who serves, where OpenTelemetry's names ask for it.
const PROVIDER: &str = "dynamo";

/// What is measured of an inference frontend, under the names of Dynamo's.
///
/// | metric (`dynamo_frontend_` ..) | labels | what it says |
/// |---|---|---|
/// | `requests_started_total` | `model`, `endpoint`, `request_type` | requests of which these are known; at their end at the latest |
/// | `requests_total` | `model`, `endpoint`, `request_type`, `status`, `error_type` | requests that ended |
/// | `active_requests` | `model` | requests between naming their model and the end of their answer; also as `inflight_requests`, its old name |
/// | `queued_requests` | `model` | those of them without a token yet; of an answer in one piece, until its end |
/// | `disconnected_clients` | | clients that left before the end of their answer |
/// | `request_duration_seconds` | `model` | from the start of a request to the end of its answer |
/// | `time_to_first_token_seconds` | `model` | from the start to the first content event; streams only |
/// | `inter_token_latency_seconds` | `model` | between tokens; streams only |
/// | `input_sequence_tokens` | `model` | tokens of a prompt, where they are known |
/// | `cached_tokens` | `model` | those of them that were found in a cache, where that is known |
/// | `output_sequence_tokens` | `model` | tokens of an answer, if it had any |
/// | `output_tokens_total` | `model` | tokens generated, counted as they pass |
/// | `embedding_latency_seconds` | `model` | whole requests to the endpoint `embeddings` that succeeded |
/// | `failures_total` | `class`, `reason` | requests that failed, as their end shows or the handler tells |
/// | `model_cancellation_total` | `model`, `endpoint`, `request_type` | requests whose client left |
/// | `model_rejection_total` | `model`, `endpoint` | requests that were turned away (HTTP 429 and 529) |
/// | `images_per_request`, `videos_per_request`, `audio_per_request`, `image_tokens_per_request` | `model` | parts of a request, where they are told |
/// | `model_*` | `model` | what a model can do where it runs, and its requests that move: see [`ServedModel`] |
/// | `worker_*` | `worker_id`, `dp_rank`, `worker_type` | the last values of a worker: see [`Worker`] |
/// | `tokenizer_latency_ms`, `tokenize_seconds`, `template_seconds`, `detokenize_*`, `tokenizer_cache_*`, `stage_*` | | what is done for a request, as [`RequestMetrics`](super::RequestMetrics) is told |
///
/// A model is a label only if it was [served](Self::serve). The metrics of stages, of the tokenizer and
/// of workers have these names whatever the prefix is, as Dynamo's have.
///
/// # Unit
/// Seconds and tokens, as the names say; `tokenizer_latency_ms` is in milliseconds, and
/// `detokenize_total_us` in microseconds. The rest are counts.
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
/// assert!(encode::text(&registry).contains("dynamo_frontend_active_requests{model=\"llama\"} 0"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrontendMetrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dynamo: Option<FrontendSet>,
    gen_ai: Option<GenAiSet>,
    vllm: Option<VllmSet>,
    stages: Arc<StageSet>,
    workers: Workers,
    /// Few, and served for long.
    served: ArcSwap<HashMap<Box<str>, Arc<Model>>>,
    /// Held by whoever changes what is served, and by nobody who looks.
    changing: Mutex<()>,
}

/// Registers a [`FrontendMetrics`].
#[must_use = "nothing is registered until `register` is called"]
pub struct FrontendBuilder<'a> {
    scope: &'a Scope,
    names: Vec<Names>,
    provider: &'a str,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

impl FrontendMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_frontend` unless the scope or the
    /// environment has another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Self::builder(scope).register()
    }

    /// Registers the set in `scope`, with choices.
    pub fn builder(scope: &Scope) -> FrontendBuilder<'_> {
        FrontendBuilder {
            scope,
            names: vec![Names::Dynamo],
            provider: PROVIDER,
            environment: &environment::of_process,
        }
    }

    /// Declares that `model` is served: it becomes a label value, with series at zero. What its
    /// workers can do is told by what is returned.
    #[expect(clippy::must_use_candidate, reason = "declaring is the point")]
    pub fn serve(&self, model: &str) -> ServedModel {
        ServedModel::new(&self.0, &self.0.serve(model))
    }

    /// Declares that `model` is served no longer: its series go. A request of it that is under way
    /// counts as one of [`UNKNOWN_MODEL`] at its end.
    pub fn withdraw(&self, model: &str) {
        self.0.withdraw(model);
    }

    /// A worker is there, with the number `id`: for as long as what is returned is held. Who asks
    /// for the same one has the same.
    #[must_use]
    pub fn worker(&self, id: u64, dp_rank: Option<u32>, kind: WorkerType) -> Worker {
        self.0.workers.join((id, dp_rank, kind))
    }

    /// Whether `model` was declared to be served.
    pub(super) fn serves(&self, model: &str) -> bool {
        self.0.served.load().contains_key(model)
    }

    /// The series of the model that a client calls `requested`, served or not.
    pub(super) fn model(&self, requested: &str) -> Arc<Model> {
        let served = self.0.served.load();
        let known = served.get(requested).or_else(|| served.get(UNKNOWN_MODEL));
        known.cloned().unwrap_or_else(|| self.0.serve(UNKNOWN_MODEL))
    }

    /// A request is known for what it is.
    pub(super) fn started(&self, labels: [&str; 3]) {
        if let Some(set) = &self.0.dynamo {
            set.requests_started_total.with_ref(labels, Counter::inc);
        }
    }

    /// Counts a request of `model` that ended.
    pub(super) fn finished(&self, model: &Model, finished: &Finished<'_>) {
        model.finished(finished);
        if let Some(set) = &self.0.dynamo {
            set.finished(finished);
        }
        if let Some(set) = &self.0.gen_ai {
            set.finished(finished);
        }
        if let Some(set) = &self.0.vllm {
            set.finished(finished);
        }
    }

    pub(super) fn stage(&self, stage: Stage, phase: Option<ServingPhase>) -> StageGuard {
        self.0.stages.enter(stage, phase)
    }

    pub(super) fn templated(&self, took: Duration) {
        self.0.stages.template_seconds.observe_duration(took);
    }

    pub(super) fn tokenized(&self, took: Duration) {
        self.0.stages.tokenize_seconds.observe_duration(took);
        if let Some(set) = &self.0.dynamo {
            set.tokenizer(Operation::Tokenize, took);
        }
    }

    pub(super) fn detokenized(&self, took: Duration, tokens: u64) {
        self.0.stages.detokenized(took, tokens);
        if let (Some(set), Ok(tokens @ 1..)) = (&self.0.dynamo, u32::try_from(tokens)) {
            set.tokenizer(Operation::Detokenize, took / tokens);
        }
    }

    pub(super) fn tokenizer_cached(&self, model: &str, cached: u64, uncached: u64) {
        self.0.stages.cached(model, cached, uncached);
    }
}

impl Inner {
    fn serve(&self, name: &str) -> Arc<Model> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let served = self.served.load_full();
        if let Some(model) = served.get(name) {
            return Arc::clone(model);
        }
        let mut model = Model::new(name);
        if let Some(set) = &self.dynamo {
            set.add(name, &mut model);
        }
        if let Some(set) = &self.vllm {
            set.add(name, &mut model);
        }
        let (model, mut served) = (Arc::new(model), HashMap::clone(&served));
        served.insert(name.into(), Arc::clone(&model));
        self.served.store(Arc::new(served));
        model
    }

    fn withdraw(&self, name: &str) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut served = HashMap::clone(&self.served.load());
        if let Some(gone) = served.remove(name) {
            self.served.store(Arc::new(served));
            gone.withdraw();
            self.remove(name);
        }
    }

    fn remove(&self, model: &str) {
        if let Some(set) = &self.dynamo {
            set.remove(model);
        }
        if let Some(set) = &self.gen_ai {
            set.remove(model);
        }
        if let Some(set) = &self.vllm {
            set.remove(model);
        }
        self.stages.remove(model);
    }
}

impl<'a> FrontendBuilder<'a> {
    /// Under whose names the values are exposed: one, or several at once (default:
    /// [`Names::Dynamo`]).
    ///
    /// | values | [`GenAi`](Names::GenAi): `gen_ai_` .. | [`Vllm`](Names::Vllm): `vllm:` .. |
    /// |---|---|---|
    /// | duration | `server_request_duration_seconds` | `e2e_request_latency_seconds` |
    /// | time to first token | `server_time_to_first_token_seconds`, of success | `time_to_first_token_seconds` |
    /// | time between tokens | | `inter_token_latency_seconds`, once for each chunk |
    /// | the mean of it | `server_time_per_output_token_seconds` | `request_time_per_output_token_seconds` |
    /// | tokens of a prompt | `client_token_usage{gen_ai_token_type="input"}` | `request_prompt_tokens`, `prompt_tokens_total` |
    /// | of these, from a cache | | `prompt_tokens_cached_total` |
    /// | tokens of an answer | `client_token_usage{gen_ai_token_type="output"}`, if they were told | `request_generation_tokens`, `generation_tokens_total` |
    /// | ends | | `request_success_total{finished_reason}` |
    /// | labels | `gen_ai_operation_name`, `gen_ai_provider_name`, `gen_ai_request_model`, `error_type` | `model_name`, `engine` |
    ///
    /// What the others have no name for is exposed under Dynamo's alone. A scope's
    /// [`with_buckets`](Scope::with_buckets) holds for all of them, by the name after the prefix.
    pub fn names(mut self, names: impl IntoIterator<Item = Names>) -> Self {
        self.names = names.into_iter().collect();
        self
    }

    /// The label `gen_ai_provider_name` (default: `dynamo`).
    pub fn provider(mut self, provider: &'a str) -> Self {
        self.provider = provider;
        self
    }

    /// Where environment variables are looked up (default: in the process's environment).
    ///
    /// | variable | |
    /// |---|---|
    /// | `DYN_METRICS_PREFIX` | the prefix in place of `dynamo_frontend` |
    /// | `DYN_METRICS_<X>_MIN`, `.._MAX`, `.._COUNT` | the ends of a logarithmic scale of bounds and how many they are; `X` is `REQUEST_DURATION`, `INPUT_SEQUENCE`, `OUTPUT_SEQUENCE`, `TTFT`, `ITL` or `EMBEDDING_LATENCY` |
    ///
    /// They are read once, here, for Dynamo's names; what is said in code goes before them. A value
    /// that cannot be is logged, and the default is used.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, llm::FrontendMetrics, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let frontend = FrontendMetrics::builder(&registry)
    ///     .environment(&|variable| (variable == "DYN_METRICS_PREFIX").then(|| "nim".to_owned()))
    ///     .register()?;
    /// frontend.serve("llama");
    /// assert!(encode::text(&registry).contains("nim_active_requests{model=\"llama\"} 0\n"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn environment(mut self, look_up: &'a dyn Fn(&str) -> Option<String>) -> Self {
        self.environment = look_up;
        self
    }

    /// Registers the set.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(self) -> Result<FrontendMetrics, RegisterError> {
        let Self { scope, names, provider, environment } = self;
        let has = |wanted| names.contains(&wanted);
        let dynamo = || FrontendSet::register(&environment::apply(scope, environment));
        let labels = [("gen_ai_provider_name", provider)];
        let gen_ai = || GenAiSet::register_with(scope, &labels);
        let vllm = || VllmSet::register_with(scope, &[("engine", ENGINE)]);
        Ok(FrontendMetrics(Arc::new(Inner {
            dynamo: has(Names::Dynamo).then(dynamo).transpose()?,
            gen_ai: has(Names::GenAi).then(gen_ai).transpose()?,
            vllm: has(Names::Vllm).then(vllm).transpose()?,
            stages: Arc::new(StageSet::register(scope)?),
            workers: Workers::new(WorkerSet::register(scope)?),
            served: ArcSwap::default(),
            changing: Mutex::default(),
        })))
    }
}

impl std::fmt::Debug for FrontendBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontendBuilder").field("names", &self.names).finish_non_exhaustive()
    }
}
