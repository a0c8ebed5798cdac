//! The frontend's set under the names of Dynamo's HTTP service.

use std::time::Duration;

use super::environment::PREFIX;
use super::failure::Failure;
use super::finished::{Finished, Measure};
use super::model::Model;
use crate::label::{LabelSet, LabelValue};
use crate::llm::outcome::Outcome;
use crate::llm::tokens;
use crate::metric::{Buckets, BucketsError, Counter, Gauge, Histogram, UpDownCounter};
use crate::registry::{DynamicFamily, Family, MetricSet};

/// Parts of a request: each number to ten, and then the round ones.
const PARTS: [f64; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 20.0, 30.0, 40.0, 50.0, 100.0];

/// In milliseconds.
const TOKENIZER: [f64; 11] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Of a request that moves from one worker to another, in seconds.
const MIGRATION: [f64; 13] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0];

/// An inference frontend, by model, under the names of Dynamo's HTTP service.
///
/// # Source
/// The layer of a frontend's route, and what the handler tells.
#[derive(Debug, MetricSet)]
#[metric_set(name = "FrontendMetrics", prefix = PREFIX)]
pub(super) struct FrontendSet {
    /// Requests of which model and type are known.
    #[metric(labels(model, endpoint, request_type))]
    pub(super) requests_started_total: DynamicFamily<Counter, 3>,
    /// Requests that ended.
    #[metric(labels(model, endpoint, request_type, status, error_type))]
    pub(super) requests_total: DynamicFamily<Counter, 5>,
    /// Requests that are being answered.
    #[metric(labels(model), alias = "inflight_requests")]
    pub(super) active_requests: DynamicFamily<UpDownCounter, 1>,
    /// Requests without a token yet.
    #[metric(labels(model))]
    pub(super) queued_requests: DynamicFamily<UpDownCounter, 1>,
    /// Clients that left before the end of their answer.
    pub(super) disconnected_clients: UpDownCounter,
    /// Time from the start of a request to the end of its answer.
    #[metric(labels(model), unit = seconds, buckets = Buckets::log(1.0, 512.0, 10), native)]
    pub(super) request_duration_seconds: DynamicFamily<Histogram, 1>,
    /// Tokens of a prompt.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 128_000.0, 12))]
    pub(super) input_sequence_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens of an answer.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 32_000.0, 10))]
    pub(super) output_sequence_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens of a prompt that were found in a cache.
    #[metric(labels(model), unit = tokens, buckets = Buckets::log(50.0, 128_000.0, 12))]
    pub(super) cached_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens generated, as they pass.
    #[metric(labels(model), unit = tokens)]
    pub(super) output_tokens_total: DynamicFamily<Counter, 1>,
    /// Time from the start of a request to its first token.
    #[metric(labels(model), unit = seconds, buckets = tokens::ttft_buckets, native)]
    pub(super) time_to_first_token_seconds: DynamicFamily<Histogram, 1>,
    /// Time between two tokens of one answer.
    #[metric(
        labels(model), unit = seconds, buckets = tokens::itl_buckets, native = tokens::ITL_NATIVE
    )]
    pub(super) inter_token_latency_seconds: DynamicFamily<Histogram, 1>,
    /// Time of a whole request for embeddings that succeeded.
    #[metric(labels(model), unit = seconds, buckets = Buckets::log(0.001, 10.0, 14))]
    pub(super) embedding_latency_seconds: DynamicFamily<Histogram, 1>,
    /// Milliseconds that the tokenizer took: of a request, or on average of a token that was decoded.
    #[metric(buckets = TOKENIZER)]
    pub(super) tokenizer_latency_ms: Family<ByOperation, Histogram>,
    /// Images of a request.
    #[metric(labels(model), buckets = PARTS)]
    pub(super) images_per_request: DynamicFamily<Histogram, 1>,
    /// Videos of a request.
    #[metric(labels(model), buckets = PARTS)]
    pub(super) videos_per_request: DynamicFamily<Histogram, 1>,
    /// Pieces of audio of a request.
    #[metric(labels(model), buckets = PARTS)]
    pub(super) audio_per_request: DynamicFamily<Histogram, 1>,
    /// Tokens that stand for the images of a request.
    #[metric(labels(model), buckets = Buckets::exponential(4.0, 2.0, 15))]
    pub(super) image_tokens_per_request: DynamicFamily<Histogram, 1>,
    /// Requests that failed, by what went wrong.
    pub(super) failures_total: Family<Failure, Counter>,
    #[metric(flatten)]
    pub(super) models: ModelSet,
    /// Requests that moved from one worker to another.
    #[metric(labels(model, migration_type))]
    pub(super) model_migration_total: DynamicFamily<Counter, 2>,
    /// Time that such a move took.
    #[metric(labels(model, migration_type, outcome), unit = seconds, buckets = MIGRATION)]
    pub(super) model_migration_duration_seconds: DynamicFamily<Histogram, 3>,
    /// Requests that were too long to be moved.
    #[metric(labels(model))]
    pub(super) model_migration_max_seq_len_exceeded_total: DynamicFamily<Counter, 1>,
    /// Requests whose client left before the end.
    #[metric(labels(model, endpoint, request_type))]
    pub(super) model_cancellation_total: DynamicFamily<Counter, 3>,
    /// Requests that were turned away, as there was too much to do.
    #[metric(labels(model, endpoint))]
    pub(super) model_rejection_total: DynamicFamily<Counter, 2>,
}

/// What a model can do where it runs.
///
/// # Source
/// Told by whoever knows the workers.
#[derive(Debug, MetricSet)]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct ModelSet {
    /// Blocks of a worker's KV cache.
    #[metric(labels(model))]
    pub(super) model_total_kv_blocks: DynamicFamily<Gauge, 1>,
    /// The most sequences that a worker runs at once.
    #[metric(labels(model))]
    pub(super) model_max_num_seqs: DynamicFamily<Gauge, 1>,
    /// The most tokens of a worker's batch.
    #[metric(labels(model))]
    pub(super) model_max_num_batched_tokens: DynamicFamily<Gauge, 1>,
    /// The most tokens of a sequence.
    #[metric(labels(model))]
    pub(super) model_context_length: DynamicFamily<Gauge, 1>,
    /// Tokens of a block of the KV cache.
    #[metric(labels(model))]
    pub(super) model_kv_cache_block_size: DynamicFamily<Gauge, 1>,
    /// How often a request may move to another worker.
    #[metric(labels(model))]
    pub(super) model_migration_limit: DynamicFamily<Gauge, 1>,
    /// Whether a worker is there to serve it.
    #[metric(labels(model))]
    pub(super) model_ready: DynamicFamily<Gauge, 1>,
}

/// What a tokenizer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum Operation {
    Tokenize,
    Detokenize,
}

#[derive(LabelSet)]
pub(super) struct ByOperation {
    pub(super) operation: Operation,
}

impl FrontendSet {
    /// Adds the series of a model, all of them at zero.
    pub(super) fn add(&self, name: &str, model: &mut Model) {
        let name = [name];
        model.in_flight.push(self.active_requests.with(name));
        model.queued.push(self.queued_requests.with(name));
        model.first_token.push(self.time_to_first_token_seconds.with(name));
        model.per_token.push(self.inter_token_latency_seconds.with(name));
        model.output_tokens.push(self.output_tokens_total.with(name));
        for (measure, family) in [
            (Measure::Duration, &self.request_duration_seconds),
            (Measure::InputTokens, &self.input_sequence_tokens),
            (Measure::CachedTokens, &self.cached_tokens),
            (Measure::OutputTokens, &self.output_sequence_tokens),
        ] {
            model.samples.push((measure, family.with(name)));
        }
    }

    /// Counts a request that ended by what more there is to tell of it.
    pub(super) fn finished(&self, finished: &Finished<'_>) {
        let Finished { model, endpoint, request_type, .. } = *finished;
        let request_type = request_type.as_label();
        let success = finished.end.outcome == Outcome::Success;
        let status = if success { "success" } else { "error" };
        let labels = [model, endpoint, request_type, status, finished.error_type];
        self.requests_total.with_ref(labels, Counter::inc);
        if let Some(failure) = finished.failure {
            self.failures_total.with_ref(&failure, Counter::inc);
        }
        if finished.end.outcome == Outcome::Cancelled {
            self.disconnected_clients.inc();
            self.model_cancellation_total.with_ref([model, endpoint, request_type], Counter::inc);
        }
        if finished.error_type == "overload" {
            self.model_rejection_total.with_ref([model, endpoint], Counter::inc);
        }
        for (measure, family) in [
            (Measure::Embedding, &self.embedding_latency_seconds),
            (Measure::Images, &self.images_per_request),
            (Measure::Videos, &self.videos_per_request),
            (Measure::Audio, &self.audio_per_request),
            (Measure::ImageTokens, &self.image_tokens_per_request),
        ] {
            if let Some(sample) = finished.get(measure) {
                family.with_ref([model], |histogram| histogram.observe(sample));
            }
        }
    }

    pub(super) fn tokenizer(&self, operation: Operation, time: Duration) {
        let milliseconds = time.as_secs_f64() * 1e3;
        let labels = ByOperation { operation };
        self.tokenizer_latency_ms.with_ref(&labels, |time| time.observe(milliseconds));
    }

    /// Removes all series of a model.
    pub(super) fn remove(&self, model: &str) {
        macro_rules! remove {
            ($($set:ident.$family:ident)*) => {
                $($set.$family.remove_where("model", model);)*
            };
        }
        let (set, models) = (self, &self.models);
        remove! {
            set.requests_started_total set.requests_total set.active_requests set.queued_requests
            set.request_duration_seconds set.input_sequence_tokens set.output_sequence_tokens
            set.cached_tokens set.output_tokens_total set.time_to_first_token_seconds
            set.inter_token_latency_seconds set.embedding_latency_seconds set.images_per_request
            set.videos_per_request set.audio_per_request set.image_tokens_per_request
            set.model_migration_total set.model_migration_duration_seconds
            set.model_migration_max_seq_len_exceeded_total set.model_cancellation_total
            set.model_rejection_total
            models.model_total_kv_blocks models.model_max_num_seqs
            models.model_max_num_batched_tokens models.model_context_length
            models.model_kv_cache_block_size models.model_migration_limit models.model_ready
        }
    }
}

/// Checked where it is registered, as all bounds are.
pub(super) fn token_counts() -> Result<Buckets, BucketsError> {
    // 1, 2, 5, 10, .. up to a context of a hundred thousand.
    let decades = (0..5).map(|power| 10_f64.powi(power));
    Buckets::new(decades.flat_map(|ten| [ten, 2.0 * ten, 5.0 * ten]).chain([1e5]))
}
