//! The stages of a request before its first token, and what the tokenizer does.

use std::sync::Arc;
use std::time::Duration;

use super::environment::PREFIX;
use crate::clock::{self, Instant};
use crate::label::{LabelSet, LabelValue};
use crate::metric::{Counter, Histogram, InFlight, UpDownCounter};
use crate::registry::{DynamicFamily, Family, Lazy, MetricSet};

/// In seconds.
const STAGE: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0];
const TOKENIZE: [f64; 9] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];
const TEMPLATE: [f64; 8] = [0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05];

/// Stages of a frontend's requests, and its tokenizer; each metric appears when there is something to
/// say.
///
/// # Source
/// What a handler tells of its request.
#[derive(Debug, MetricSet)]
#[metric_set(fixed_prefix = PREFIX)]
pub(super) struct StageSet {
    /// Requests that are in a stage.
    pub(super) stage_requests: Family<ByStage, UpDownCounter>,
    /// Time that a request is in a stage.
    #[metric(unit = seconds, buckets = STAGE)]
    pub(super) stage_duration_seconds: Family<OfStage, Histogram>,
    /// Time to tokenize a prompt.
    #[metric(unit = seconds, buckets = TOKENIZE)]
    pub(super) tokenize_seconds: Lazy<Histogram>,
    /// Time to put a prompt together.
    #[metric(unit = seconds, buckets = TEMPLATE)]
    pub(super) template_seconds: Lazy<Histogram>,
    /// Microseconds in which tokens were decoded.
    pub(super) detokenize_total_us: Lazy<Counter>,
    /// Tokens that were decoded.
    pub(super) detokenize_token_count: Lazy<Counter>,
    /// Prompts of which the tokenizer's cache knew a part.
    pub(super) tokenizer_cache_hits_total: Lazy<Counter>,
    /// Prompts of which it knew nothing.
    pub(super) tokenizer_cache_misses_total: Lazy<Counter>,
    /// Tokens that came from the tokenizer's cache.
    #[metric(labels(model), unit = tokens)]
    pub(super) tokenizer_cache_cached_tokens_total: DynamicFamily<Counter, 1>,
    /// Tokens that did not.
    #[metric(labels(model), unit = tokens)]
    pub(super) tokenizer_cache_uncached_tokens_total: DynamicFamily<Counter, 1>,
}

/// A stage of a request before its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Stage {
    /// Its prompt is put together, and made into tokens.
    Preprocess,
    /// A worker is chosen for it.
    Route,
    /// It is sent to the worker.
    Dispatch,
}

/// What a worker does for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum ServingPhase {
    /// It reads the prompt, and another one generates.
    Prefill,
    /// It generates what another one has read.
    Decode,
    /// Both.
    Aggregated,
}

/// The same, or that nobody knows yet.
#[derive(Debug, Clone, Copy, LabelValue)]
enum Phase {
    Prefill,
    Decode,
    Aggregated,
    #[label(rename = "")]
    Unknown,
}

#[derive(LabelSet)]
pub(super) struct ByStage {
    stage: Stage,
    phase: Phase,
}

#[derive(LabelSet)]
pub(super) struct OfStage {
    stage: Stage,
}

/// A request that is in a stage, until this is dropped.
#[derive(Debug)]
#[must_use = "the stage ends when this is dropped"]
pub struct StageGuard {
    _requests: InFlight,
    stage: Stage,
    set: Arc<StageSet>,
    start: Instant,
}

impl From<Option<ServingPhase>> for Phase {
    fn from(phase: Option<ServingPhase>) -> Self {
        match phase {
            Some(ServingPhase::Prefill) => Self::Prefill,
            Some(ServingPhase::Decode) => Self::Decode,
            Some(ServingPhase::Aggregated) => Self::Aggregated,
            None => Self::Unknown,
        }
    }
}

impl StageSet {
    pub(super) fn enter(self: &Arc<Self>, stage: Stage, phase: Option<ServingPhase>) -> StageGuard {
        let requests = self.stage_requests.with(&ByStage { stage, phase: phase.into() });
        let set = Arc::clone(self);
        StageGuard { _requests: requests.enter(), stage, set, start: clock::now() }
    }

    pub(super) fn detokenized(&self, took: Duration, tokens: u64) {
        self.detokenize_total_us.inc_by(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.detokenize_token_count.inc_by(tokens);
    }

    pub(super) fn cached(&self, model: &str, cached: u64, uncached: u64) {
        let (hits, misses) = (&self.tokenizer_cache_hits_total, &self.tokenizer_cache_misses_total);
        // Both are there from the first prompt on.
        let (hits, misses) = (hits.get(), misses.get());
        let told = if cached > 0 { hits } else { misses };
        told.inc();
        for (family, tokens) in [
            (&self.tokenizer_cache_cached_tokens_total, cached),
            (&self.tokenizer_cache_uncached_tokens_total, uncached),
        ] {
            family.with_ref([model], |counter| counter.inc_by(tokens));
        }
    }

    pub(super) fn remove(&self, model: &str) {
        self.tokenizer_cache_cached_tokens_total.remove_where("model", model);
        self.tokenizer_cache_uncached_tokens_total.remove_where("model", model);
    }
}

impl Drop for StageGuard {
    fn drop(&mut self) {
        let time = self.start.elapsed();
        self.set
            .stage_duration_seconds
            .with_ref(&OfStage { stage: self.stage }, |stage| stage.observe_duration(time));
    }
}
