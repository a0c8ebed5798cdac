//! A model that is served: its series, and what its workers are told of.

use std::sync::Arc;
use std::time::Duration;

use super::Inner;
use super::finished::{Finished, Measure};
use crate::label::LabelValue;
use crate::metric::{Counter, Gauge, Histogram, UpDownCounter};
use crate::registry::DynamicFamily;
use crate::sync::{AtomicBool, Ordering};

/// The series of one model, whatever their names.
#[derive(Debug)]
pub(in crate::llm) struct Model {
    name: Box<str>,
    /// It is served no longer, and has no series any more.
    withdrawn: AtomicBool,
    pub(in crate::llm) in_flight: Fan<UpDownCounter>,
    pub(in crate::llm) queued: Fan<UpDownCounter>,
    pub(in crate::llm) first_token: Fan<Histogram>,
    /// Gaps, spread over their tokens.
    pub(in crate::llm) per_token: Fan<Histogram>,
    /// Gaps as they are.
    pub(in crate::llm) per_chunk: Fan<Histogram>,
    pub(in crate::llm) output_tokens: Fan<Counter>,
    /// What is observed of a request that ended, and what is added up.
    pub(super) samples: Vec<(Measure, Histogram)>,
    pub(super) sums: Vec<(Measure, Counter)>,
}

/// One value under each choice of names that is on.
#[derive(Debug, Clone)]
pub(in crate::llm) struct Fan<M>(Vec<M>);

impl<M> Fan<M> {
    pub(super) fn push(&mut self, metric: M) {
        self.0.push(metric);
    }

    /// Records to each of them.
    #[inline]
    pub(in crate::llm) fn each(&self, record: impl Fn(&M)) {
        self.0.iter().for_each(record);
    }
}

impl<M> Default for Fan<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Model {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            withdrawn: AtomicBool::new(false),
            in_flight: Fan::default(),
            queued: Fan::default(),
            first_token: Fan::default(),
            per_token: Fan::default(),
            per_chunk: Fan::default(),
            output_tokens: Fan::default(),
            samples: Vec::new(),
            sums: Vec::new(),
        }
    }

    pub(in crate::llm) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(in crate::llm) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    pub(super) fn finished(&self, finished: &Finished<'_>) {
        for (measure, histogram) in &self.samples {
            if let Some(sample) = finished.get(*measure) {
                histogram.observe(sample);
            }
        }
        for (measure, counter) in &self.sums {
            if let Some(sample) = finished.get(*measure) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "counts"
                )]
                counter.inc_by(sample as u64);
            }
        }
    }
}

/// A model that is served, to tell what its workers can do.
///
/// The last word counts, so that a model whose workers differ reads as the one that was told last.
/// Once the model is [withdrawn](super::FrontendMetrics::withdraw) nothing is recorded any more.
///
/// # Unit
/// As the methods say.
/// # Source
/// Whoever knows the workers: discovery, or their configuration.
/// # Cost
/// A look-up and a store. None of it is meant for each request.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::FrontendMetrics;
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let frontend = FrontendMetrics::register(&registry)?;
/// let llama = frontend.serve("llama");
/// llama.context_length(131_072);
/// llama.ready(true);
/// let text = encode::text(&registry);
/// assert!(text.contains("dynamo_frontend_model_context_length{model=\"llama\"} 131072\n"));
/// frontend.withdraw("llama");
/// llama.ready(false);
/// assert!(!encode::text(&registry).contains("llama"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServedModel {
    frontend: Arc<Inner>,
    model: Arc<Model>,
}

/// Why a request moves from one worker to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum MigrationType {
    /// It had no answer yet.
    NewRequest,
    /// Its answer had begun.
    OngoingRequest,
}

/// What became of such a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum MigrationOutcome {
    /// The other worker goes on.
    Success,
    /// None does.
    Failure,
    /// The client left meanwhile.
    Cancelled,
}

impl ServedModel {
    pub(super) fn new(frontend: &Arc<Inner>, model: &Arc<Model>) -> Self {
        Self { frontend: Arc::clone(frontend), model: Arc::clone(model) }
    }

    /// A worker's KV cache has so many blocks.
    pub fn total_kv_blocks(&self, blocks: u64) {
        self.set(blocks, |inner| Some(&inner.dynamo.as_ref()?.models.model_total_kv_blocks));
    }

    /// A worker runs so many sequences at once.
    pub fn max_num_seqs(&self, sequences: u64) {
        self.set(sequences, |inner| Some(&inner.dynamo.as_ref()?.models.model_max_num_seqs));
    }

    /// A batch of a worker has at most so many tokens.
    pub fn max_num_batched_tokens(&self, tokens: u64) {
        self.set(tokens, |inner| Some(&inner.dynamo.as_ref()?.models.model_max_num_batched_tokens));
    }

    /// A sequence has at most so many tokens.
    pub fn context_length(&self, tokens: u64) {
        self.set(tokens, |inner| Some(&inner.dynamo.as_ref()?.models.model_context_length));
    }

    /// A block of the KV cache holds so many tokens.
    pub fn kv_cache_block_size(&self, tokens: u64) {
        self.set(tokens, |inner| Some(&inner.dynamo.as_ref()?.models.model_kv_cache_block_size));
    }

    /// A request may move to another worker so often.
    pub fn migration_limit(&self, times: u64) {
        self.set(times, |inner| Some(&inner.dynamo.as_ref()?.models.model_migration_limit));
    }

    /// Whether a worker is there to serve it.
    pub fn ready(&self, ready: bool) {
        self.set(ready.into(), |inner| Some(&inner.dynamo.as_ref()?.models.model_ready));
    }

    /// A request of the model was moved from one worker to another, or was to be.
    pub fn migrated(&self, kind: MigrationType, outcome: MigrationOutcome, took: Duration) {
        let Some(set) = self.frontend.dynamo.as_ref().filter(|_| !self.model.is_withdrawn()) else {
            return;
        };
        let (model, kind) = (self.model.name(), kind.as_label());
        set.model_migration_total.with_ref([model, kind], Counter::inc);
        set.model_migration_duration_seconds
            .with_ref([model, kind, outcome.as_label()], |time| time.observe_duration(took));
    }

    /// A request of the model was too long to be moved.
    pub fn too_long_to_migrate(&self) {
        if let Some(set) = self.frontend.dynamo.as_ref().filter(|_| !self.model.is_withdrawn()) {
            let family = &set.model_migration_max_seq_len_exceeded_total;
            family.with_ref([self.model.name()], Counter::inc);
        }
    }

    fn set(&self, value: u64, family: impl FnOnce(&Inner) -> Option<&DynamicFamily<Gauge, 1>>) {
        if self.model.is_withdrawn() {
            return;
        }
        if let Some(family) = family(&self.frontend) {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.with_ref([self.model.name()], |gauge| gauge.set(value));
        }
    }
}
