//! Continuous batching: what a scheduler tells of each batch.

use std::sync::Arc;
use std::time::Duration;

use super::whole;
use crate::llm::names::{self, Names};
use crate::metric::{Counter, FloatGauge, Gauge, Histogram};
use crate::registry::{Lazy, MetricSet, RegisterError, Scope};

/// In milliseconds.
const TTFT: [f64; 14] = [
    10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 750.0, 1_000.0, 2_000.0, 5_000.0,
    10_000.0,
];
const LATENCY: [f64; 11] =
    [50.0, 100.0, 250.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0, 30_000.0, 60_000.0];

/// In percent.
const FILL: [f64; 13] =
    [5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0, 98.0, 100.0];

/// In tokens.
const ITERATION: [f64; 13] =
    [1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 2_048.0, 4_096.0, 8_192.0, 16_384.0];

/// Measures continuous batching, under the names that transformers had for it; a scheduler calls it
/// once for each batch.
///
/// | metric | |
/// |---|---|
/// | `ttft_milliseconds`, `request_latency_milliseconds` | from the arrival of a request to its first token, and to its end |
/// | `active_requests_count`, `waiting_requests_count` | requests in the batch, and those that wait for a place in it |
/// | `batch_fill_percentage` | tokens of a batch, of those that it may have |
/// | `decode_prefill_ratio` | tokens generated for each of a prompt, in the last batch with a prompt |
/// | `prefill_tokens_processed`, `decode_tokens_processed` | tokens of prompts, and tokens generated |
/// | `kv_cache_memory_bytes`, `kv_cache_free_memory_bytes` | the KV cache in use, and the rest |
///
/// The names have no prefix, unless the scope was given one.
///
/// # Unit
/// Milliseconds, percent, tokens and bytes, as the names say.
/// # Source
/// The scheduler.
/// # Cost
/// Some stores and a sample for a batch, and a sample for a request. Nothing is allocated.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{Batch, BatchMeter};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let meter = BatchMeter::builder(&registry).max_batch_tokens(1_024).register()?;
/// meter.batch(&Batch {
///     prefill_tokens: 240,
///     decode_tokens: 16,
///     active_requests: 17,
///     waiting_requests: 3,
///     ..Batch::default()
/// });
/// meter.first_token(Duration::from_millis(60));
/// let text = encode::text(&registry);
/// assert!(text.contains("batch_fill_percentage_sum 25\n"));
/// assert!(text.contains("prefill_tokens_processed 240\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchMeter(Arc<Meter>);

#[derive(Debug)]
struct Meter {
    own: Option<BatchSet>,
    vllm: Option<VllmBatchSet>,
    max_batch_tokens: u64,
}

/// Continuous batching.
///
/// # Source
/// The scheduler, once for each batch.
#[derive(Debug, MetricSet)]
#[metric_set(name = "BatchMeter", prefix = names::NONE)]
pub(super) struct BatchSet {
    /// Milliseconds from the arrival of a request to its first token.
    #[metric(buckets = TTFT)]
    ttft_milliseconds: Histogram,
    /// Milliseconds from the arrival of a request to its end.
    #[metric(buckets = LATENCY)]
    request_latency_milliseconds: Histogram,
    /// Requests in the batch.
    active_requests_count: Gauge,
    /// Requests that wait for a place in it.
    waiting_requests_count: Gauge,
    /// Tokens of a batch, in percent of those that it may have.
    #[metric(buckets = FILL)]
    batch_fill_percentage: Histogram,
    /// Tokens generated for each of a prompt, in the last batch with a prompt.
    decode_prefill_ratio: Lazy<FloatGauge>,
    /// Tokens of prompts.
    prefill_tokens_processed: Counter,
    /// Tokens generated.
    decode_tokens_processed: Counter,
    /// Bytes of the KV cache that are in use.
    #[metric(unit = bytes)]
    kv_cache_memory_bytes: Lazy<Gauge>,
    /// Bytes of the KV cache that are free.
    #[metric(unit = bytes)]
    kv_cache_free_memory_bytes: Lazy<Gauge>,
}

/// The same of a vLLM server, as far as a batch shows it.
///
/// # Source
/// The scheduler, once for each batch.
#[derive(Debug, MetricSet)]
#[metric_set(name = "BatchMeter, as vllm", fixed_prefix = names::NONE)]
pub(super) struct VllmBatchSet {
    /// Requests in the batch.
    #[metric(name = "vllm:num_requests_running")]
    running: Gauge,
    /// Requests that wait for a place in it.
    #[metric(name = "vllm:num_requests_waiting")]
    waiting: Gauge,
    /// Share of the KV cache that is in use, from 0 to 1.
    #[metric(name = "vllm:kv_cache_usage_perc")]
    kv_cache_usage: Lazy<FloatGauge>,
    /// Tokens of a batch.
    #[metric(name = "vllm:iteration_tokens_total", buckets = ITERATION)]
    iteration_tokens: Histogram,
}

/// What a scheduler knows of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// Tokens of prompts in it.
    pub prefill_tokens: u64,
    /// Tokens that it generates.
    pub decode_tokens: u64,
    /// Requests in it.
    pub active_requests: u64,
    /// Requests that wait for a place in it.
    pub waiting_requests: u64,
    /// Bytes of the KV cache that are in use, and those that are free; see
    /// [`kv_block_bytes`](Self::kv_block_bytes). Both 0 if they are not known.
    pub kv_cache_bytes: u64,
    /// See there.
    pub kv_cache_free_bytes: u64,
}

/// Registers a [`BatchMeter`].
#[derive(Debug, Clone)]
#[must_use = "nothing is registered until `register` is called"]
pub struct BatchBuilder<'a> {
    scope: &'a Scope,
    max_batch_tokens: u64,
    model: Option<&'a str>,
    names: Vec<Names>,
}

impl Batch {
    /// Bytes of one block of a KV cache: a key and a value for each token, layer and head.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::Batch;
    ///
    /// // 32 layers, blocks of 16 tokens, 8 heads of 128 numbers, of 2 bytes each
    /// assert_eq!(Batch::kv_block_bytes(32, 16, 8, 128, 2), 2 * 1024 * 1024);
    /// ```
    #[must_use]
    pub const fn kv_block_bytes(
        layers: u64,
        block_size: u64,
        kv_heads: u64,
        head_dim: u64,
        item_bytes: u64,
    ) -> u64 {
        2_u64
            .saturating_mul(layers)
            .saturating_mul(block_size)
            .saturating_mul(kv_heads)
            .saturating_mul(head_dim)
            .saturating_mul(item_bytes)
    }

    fn tokens(&self) -> u64 {
        self.prefill_tokens.saturating_add(self.decode_tokens)
    }

    fn kv_cache(&self) -> Option<u64> {
        let all = self.kv_cache_bytes.saturating_add(self.kv_cache_free_bytes);
        (all > 0).then_some(all)
    }
}

impl BatchMeter {
    /// Registers the set in `scope`, with choices.
    pub fn builder(scope: &Scope) -> BatchBuilder<'_> {
        BatchBuilder { scope, max_batch_tokens: 0, model: None, names: vec![Names::Dynamo] }
    }

    /// A batch is made.
    pub fn batch(&self, batch: &Batch) {
        let meter = &*self.0;
        let tokens = batch.tokens();
        if let Some(set) = &meter.own {
            set.active_requests_count.set(whole(batch.active_requests));
            set.waiting_requests_count.set(whole(batch.waiting_requests));
            set.prefill_tokens_processed.inc_by(batch.prefill_tokens);
            set.decode_tokens_processed.inc_by(batch.decode_tokens);
            if batch.prefill_tokens > 0 {
                let ratio = batch.decode_tokens as f64 / batch.prefill_tokens as f64;
                set.decode_prefill_ratio.set(ratio);
            }
            if meter.max_batch_tokens > 0 {
                let fill = tokens as f64 / meter.max_batch_tokens as f64;
                set.batch_fill_percentage.observe(fill * 100.0);
            }
            if batch.kv_cache().is_some() {
                set.kv_cache_memory_bytes.set(whole(batch.kv_cache_bytes));
                set.kv_cache_free_memory_bytes.set(whole(batch.kv_cache_free_bytes));
            }
        }
        if let Some(set) = &meter.vllm {
            set.running.set(whole(batch.active_requests));
            set.waiting.set(whole(batch.waiting_requests));
            set.iteration_tokens.observe(tokens as f64);
            if let Some(all) = batch.kv_cache() {
                set.kv_cache_usage.set(batch.kv_cache_bytes as f64 / all as f64);
            }
        }
    }

    /// A request had its first token so long after it arrived.
    pub fn first_token(&self, after: Duration) {
        if let Some(set) = &self.0.own {
            set.ttft_milliseconds.observe(after.as_secs_f64() * 1e3);
        }
    }

    /// A request ended so long after it arrived.
    pub fn finished(&self, after: Duration) {
        if let Some(set) = &self.0.own {
            set.request_latency_milliseconds.observe(after.as_secs_f64() * 1e3);
        }
    }
}

impl<'a> BatchBuilder<'a> {
    /// The most tokens of a batch (default: not known, and then nothing is said of how full it is).
    pub fn max_batch_tokens(mut self, tokens: u64) -> Self {
        self.max_batch_tokens = tokens;
        self
    }

    /// The label `model_name` of vLLM's names (default: there is none).
    pub fn model(mut self, model: &'a str) -> Self {
        self.model = Some(model);
        self
    }

    /// Under whose names the values are exposed (default: [`Names::Dynamo`], which stands for those
    /// of transformers here). OpenTelemetry has none for them; vLLM has
    /// `vllm:num_requests_running`, `vllm:num_requests_waiting`, `vllm:kv_cache_usage_perc` and
    /// `vllm:iteration_tokens_total`. What it says of requests a
    /// [`FrontendMetrics`](crate::llm::FrontendMetrics) of its names measures.
    pub fn names(mut self, names: impl IntoIterator<Item = Names>) -> Self {
        self.names = names.into_iter().collect();
        self
    }

    /// Registers the set.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(self) -> Result<BatchMeter, RegisterError> {
        let Self { scope, max_batch_tokens, model, names } = self;
        let has = |wanted| names.contains(&wanted);
        let vllm = || {
            let model = model.map(|model| ("model_name", model));
            let labels: Vec<_> = model.into_iter().chain([("engine", "0")]).collect();
            VllmBatchSet::register_with(scope, &labels)
        };
        Ok(BatchMeter(Arc::new(Meter {
            own: has(Names::Dynamo).then(|| BatchSet::register(scope)).transpose()?,
            vllm: has(Names::Vllm).then(vllm).transpose()?,
            max_batch_tokens,
        })))
    }
}
