//! An engine: its KV cache, its start and its end, its caches of media.

use std::sync::Arc;
use std::time::Duration;

use super::whole;
use crate::llm::endpoint::PREFIX;
use crate::llm::names::{self, Names};
use crate::llm::window::HitRate;
use crate::metric::{Counter, FloatGauge, Gauge};
use crate::registry::{DynamicFamily, Lazy, MetricSet, RegisterError, Scope};

/// What an engine tells of itself, under the names of Dynamo's workers.
///
/// | metric (`dynamo_component_` ..) | |
/// |---|---|
/// | `total_blocks` | blocks of the KV cache |
/// | `gpu_cache_usage_percent` | share of them in use, from 0 to 1 |
/// | `kv_cache_hit_rate` | share of tokens found in the cache, over the last 1 000 requests |
/// | `model_load_time_seconds`, `drain_time_seconds`, `cleanup_time_seconds` | how long the model took to load; the requests to end; and the rest of the end |
/// | `shutdown_stage_seconds{stage,reason}` | how long each stage of the end took |
/// | `embedding_cache_hits_total`, `_misses_total`, `_evictions_total`, `_utilization`, `_current_bytes`, `_entries` | the cache of multimodal embeddings |
/// | `image_cache_entries` | the cache of images |
///
/// Each is there once it was told: what is not known does not read as zero.
///
/// # Unit
/// Blocks, tokens, seconds and bytes, as the methods say.
/// # Source
/// The engine: where it starts and ends, and at each step of its scheduler.
/// # Cost
/// A store; [`cache_looked_up`](Self::cache_looked_up), two atomic exchanges as well.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{EngineMetrics, Names};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let backend = registry.component("backend");
/// let engine = EngineMetrics::builder(&backend)
///     .model("llama")
///     .names([Names::Dynamo, Names::Vllm])
///     .register()?;
/// engine.model_loaded(Duration::from_secs(30));
/// engine.kv_blocks(512, 2_048);
/// let text = encode::text(&registry);
/// let labels = "dynamo_component=\"backend\",model=\"llama\"";
/// assert!(text.contains(&format!("gpu_cache_usage_percent{{{labels}}} 0.25\n")), "{text}");
/// assert!(text.contains("\nvllm:kv_cache_usage_perc{"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EngineMetrics(Arc<Sets>);

#[derive(Debug)]
struct Sets {
    dynamo: Option<EngineSet>,
    vllm: Option<VllmEngineSet>,
    window: HitRate,
}

/// What an engine tells of itself.
///
/// # Source
/// The engine: where it starts and ends, and at each step of its scheduler.
#[derive(Debug, MetricSet)]
#[metric_set(name = "EngineMetrics", prefix = PREFIX)]
pub(super) struct EngineSet {
    /// Blocks of the KV cache.
    total_blocks: Lazy<Gauge>,
    /// Share of the KV cache that is in use, from 0 to 1.
    gpu_cache_usage_percent: Lazy<FloatGauge>,
    /// Share of tokens that were found in the KV cache, over the last requests.
    kv_cache_hit_rate: Lazy<FloatGauge>,
    /// Time that the model took to load.
    #[metric(unit = seconds)]
    model_load_time_seconds: Lazy<FloatGauge>,
    /// Time that cleaning up took.
    #[metric(unit = seconds)]
    cleanup_time_seconds: Lazy<FloatGauge>,
    /// Time that the last requests took to end.
    #[metric(unit = seconds)]
    drain_time_seconds: Lazy<FloatGauge>,
    /// Time that a stage of the end took.
    #[metric(labels(stage, reason), unit = seconds)]
    shutdown_stage_seconds: DynamicFamily<FloatGauge, 2>,
    /// Multimodal embeddings that were found in their cache.
    embedding_cache_hits_total: Lazy<Counter>,
    /// Multimodal embeddings that were not.
    embedding_cache_misses_total: Lazy<Counter>,
    /// Multimodal embeddings that had to leave it.
    embedding_cache_evictions_total: Lazy<Counter>,
    /// Share of that cache that is in use, from 0 to 1.
    embedding_cache_utilization: Lazy<FloatGauge>,
    /// Bytes of it that are in use.
    #[metric(unit = bytes)]
    embedding_cache_current_bytes: Lazy<Gauge>,
    /// Embeddings in it.
    embedding_cache_entries: Lazy<Gauge>,
    /// Images in their cache.
    image_cache_entries: Lazy<Gauge>,
}

/// The same of a vLLM server.
///
/// # Source
/// The engine, at each step of its scheduler.
#[derive(Debug, MetricSet)]
#[metric_set(name = "EngineMetrics, as vllm", fixed_prefix = names::NONE)]
pub(super) struct VllmEngineSet {
    /// Share of the KV cache that is in use, from 0 to 1.
    #[metric(name = "vllm:kv_cache_usage_perc")]
    kv_cache_usage: Lazy<FloatGauge>,
    /// Tokens that were looked up in the KV cache.
    #[metric(name = "vllm:prefix_cache_queries_total")]
    prefix_cache_queries: Lazy<Counter>,
    /// Tokens that were found there.
    #[metric(name = "vllm:prefix_cache_hits_total")]
    prefix_cache_hits: Lazy<Counter>,
}

/// Registers an [`EngineMetrics`].
#[derive(Debug, Clone)]
#[must_use = "nothing is registered until `register` is called"]
pub struct EngineBuilder<'a> {
    scope: &'a Scope,
    model: Option<&'a str>,
    dp_rank: Option<u32>,
    names: Vec<Names>,
}

impl EngineMetrics {
    /// Registers the set in `scope`, mostly a component's.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Self::builder(scope).register()
    }

    /// Registers the set in `scope`, with choices.
    pub fn builder(scope: &Scope) -> EngineBuilder<'_> {
        EngineBuilder { scope, model: None, dp_rank: None, names: vec![Names::Dynamo] }
    }

    /// So many blocks of the KV cache are in use, out of all of them.
    pub fn kv_blocks(&self, used: u64, all: u64) {
        let usage = (all > 0).then(|| used as f64 / all as f64);
        if let Some(set) = &self.0.dynamo {
            set.total_blocks.set(whole(all));
            if let Some(usage) = usage {
                set.gpu_cache_usage_percent.set(usage);
            }
        }
        if let (Some(set), Some(usage)) = (&self.0.vllm, usage) {
            set.kv_cache_usage.set(usage);
        }
    }

    /// A request looked up so many tokens in the KV cache, of which so many were there.
    pub fn cache_looked_up(&self, hits: u64, tokens: u64) {
        if let Some(set) = &self.0.dynamo
            && let Some(rate) = self.0.window.record(hits, tokens)
        {
            set.kv_cache_hit_rate.set(rate);
        }
        if let Some(set) = &self.0.vllm {
            set.prefix_cache_queries.inc_by(tokens);
            set.prefix_cache_hits.inc_by(hits);
        }
    }

    /// The model is loaded, which took so long.
    pub fn model_loaded(&self, took: Duration) {
        self.told(|set| set.model_load_time_seconds.set(took.as_secs_f64()));
    }

    /// The last requests ended, which took so long since the engine takes no more.
    pub fn drained(&self, took: Duration) {
        self.told(|set| set.drain_time_seconds.set(took.as_secs_f64()));
    }

    /// The engine is cleaned up, which took so long.
    pub fn cleaned_up(&self, took: Duration) {
        self.told(|set| set.cleanup_time_seconds.set(took.as_secs_f64()));
    }

    /// A stage of the engine's end is over, which took so long. Why it ends is a word of the program's
    /// own, as the stage is.
    pub fn shut_down(&self, stage: &'static str, reason: &'static str, took: Duration) {
        self.told(|set| {
            let family = &set.shutdown_stage_seconds;
            family.with_ref([stage, reason], |gauge| gauge.set(took.as_secs_f64()));
        });
    }

    /// A multimodal embedding was looked up, and was there or not.
    pub fn embedding_looked_up(&self, found: bool) {
        self.told(|set| {
            let (hits, misses) =
                (set.embedding_cache_hits_total.get(), set.embedding_cache_misses_total.get());
            let told = if found { hits } else { misses };
            told.inc();
        });
    }

    /// So many embeddings had to leave their cache.
    pub fn embeddings_evicted(&self, embeddings: u64) {
        self.told(|set| set.embedding_cache_evictions_total.inc_by(embeddings));
    }

    /// The cache of embeddings holds so many, of so many bytes, out of what it may hold.
    pub fn embedding_cache(&self, entries: u64, bytes: u64, most_bytes: u64) {
        self.told(|set| {
            set.embedding_cache_entries.set(whole(entries));
            set.embedding_cache_current_bytes.set(whole(bytes));
            if most_bytes > 0 {
                set.embedding_cache_utilization.set(bytes as f64 / most_bytes as f64);
            }
        });
    }

    /// The cache of images holds so many.
    pub fn image_cache(&self, entries: u64) {
        self.told(|set| set.image_cache_entries.set(whole(entries)));
    }

    fn told(&self, tell: impl FnOnce(&EngineSet)) {
        if let Some(set) = &self.0.dynamo {
            tell(set);
        }
    }
}

impl<'a> EngineBuilder<'a> {
    /// The label `model` (default: there is none).
    pub fn model(mut self, model: &'a str) -> Self {
        self.model = Some(model);
        self
    }

    /// The label `dp_rank` (default: there is none; vLLM's `engine` is 0).
    pub fn dp_rank(mut self, rank: u32) -> Self {
        self.dp_rank = Some(rank);
        self
    }

    /// Under whose names the values are exposed (default: [`Names::Dynamo`]). OpenTelemetry has none
    /// for them; vLLM has `vllm:kv_cache_usage_perc`, `vllm:prefix_cache_queries_total` and
    /// `vllm:prefix_cache_hits_total`.
    pub fn names(mut self, names: impl IntoIterator<Item = Names>) -> Self {
        self.names = names.into_iter().collect();
        self
    }

    /// Registers the set.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(self) -> Result<EngineMetrics, RegisterError> {
        let rank = self.dp_rank.map(|rank| rank.to_string());
        let label = |name, value: Option<&'a str>| value.map(|value| (name, value));
        let has = |wanted| self.names.contains(&wanted);
        let dynamo = || {
            let model = label("model", self.model);
            let rank = rank.as_deref().map(|rank| ("dp_rank", rank));
            let labels: Vec<_> = model.into_iter().chain(rank).collect();
            EngineSet::register_with(self.scope, &labels)
        };
        let vllm = || {
            let engine = ("engine", rank.as_deref().unwrap_or("0"));
            let labels: Vec<_> =
                label("model_name", self.model).into_iter().chain([engine]).collect();
            VllmEngineSet::register_with(self.scope, &labels)
        };
        Ok(EngineMetrics(Arc::new(Sets {
            dynamo: has(Names::Dynamo).then(dynamo).transpose()?,
            vllm: has(Names::Vllm).then(vllm).transpose()?,
            window: HitRate::new(),
        })))
    }
}
