//! The frontend's values under the names of others: OpenTelemetry's, and vLLM's.

use super::finished::{Finished, Measure};
use super::model::Model;
use super::set::token_counts;
use crate::label::LabelValue;
use crate::llm::names;
use crate::llm::outcome::Outcome;
use crate::llm::stream::FinishReason;
use crate::metric::{Buckets, Counter, Histogram};
use crate::registry::{DynamicFamily, MetricSet};

/// As the conventions advise for the time to the first token, in seconds.
const GEN_AI_FIRST_TOKEN: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The same for the time of an output token.
const GEN_AI_PER_TOKEN: [f64; 13] =
    [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];

/// vLLM's for whole requests, in seconds.
const VLLM_REQUEST: [f64; 21] = [
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0,
    480.0, 960.0, 1_920.0, 7_680.0,
];

/// vLLM's for the time to the first token.
const VLLM_FIRST_TOKEN: [f64; 22] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
    20.0, 40.0, 80.0, 160.0, 640.0, 2_560.0,
];

/// vLLM's for the time between tokens.
const VLLM_INTER_TOKEN: [f64; 19] = [
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0,
];

/// A frontend under the names of OpenTelemetry's conventions for generative AI.
///
/// # Source
/// The layer of a frontend's route, at the end of a request, and what the handler tells.
#[derive(Debug, MetricSet)]
#[metric_set(name = "FrontendMetrics, as gen_ai", fixed_prefix = "gen_ai")]
pub(super) struct GenAiSet {
    /// Time from the start of a request to the end of its answer.
    #[metric(
        labels(gen_ai_operation_name, gen_ai_request_model, error_type),
        unit = seconds, buckets = Buckets::exponential(0.01, 2.0, 14), native
    )]
    server_request_duration_seconds: DynamicFamily<Histogram, 3>,
    /// Time from the start of a request that succeeded to its first token.
    #[metric(
        labels(gen_ai_operation_name, gen_ai_request_model, error_type),
        unit = seconds, buckets = GEN_AI_FIRST_TOKEN, native
    )]
    server_time_to_first_token_seconds: DynamicFamily<Histogram, 3>,
    /// Mean time of a token after the first, by request that succeeded.
    #[metric(
        labels(gen_ai_operation_name, gen_ai_request_model, error_type),
        unit = seconds, buckets = GEN_AI_PER_TOKEN, native
    )]
    server_time_per_output_token_seconds: DynamicFamily<Histogram, 3>,
    /// Tokens of a request, as they were told; none that are guessed.
    #[metric(
        labels(gen_ai_operation_name, gen_ai_request_model, gen_ai_token_type),
        buckets = Buckets::exponential(1.0, 4.0, 14)
    )]
    client_token_usage: DynamicFamily<Histogram, 3>,
}

/// A frontend under the names of a vLLM server.
///
/// # Source
/// The layer of a frontend's route, and what the handler tells.
#[derive(Debug, MetricSet)]
#[metric_set(name = "FrontendMetrics, as vllm", fixed_prefix = names::NONE)]
pub(super) struct VllmSet {
    /// Time from the start of a request to its first token.
    #[metric(
        name = "vllm:time_to_first_token_seconds", labels(model_name),
        unit = seconds, buckets = VLLM_FIRST_TOKEN
    )]
    time_to_first_token: DynamicFamily<Histogram, 1>,
    /// Time between two chunks of tokens of one answer.
    #[metric(
        name = "vllm:inter_token_latency_seconds", labels(model_name),
        unit = seconds, buckets = VLLM_INTER_TOKEN
    )]
    inter_token_latency: DynamicFamily<Histogram, 1>,
    /// Mean time of a token after the first, by request that succeeded.
    #[metric(
        name = "vllm:request_time_per_output_token_seconds", labels(model_name),
        unit = seconds, buckets = VLLM_INTER_TOKEN
    )]
    time_per_output_token: DynamicFamily<Histogram, 1>,
    /// Time from the start of a request to the end of its answer.
    #[metric(
        name = "vllm:e2e_request_latency_seconds", labels(model_name),
        unit = seconds, buckets = VLLM_REQUEST
    )]
    e2e_request_latency: DynamicFamily<Histogram, 1>,
    /// Tokens of prompts.
    #[metric(name = "vllm:prompt_tokens_total", labels(model_name), unit = tokens)]
    prompt_tokens: DynamicFamily<Counter, 1>,
    /// Tokens of prompts that were found in a cache.
    #[metric(name = "vllm:prompt_tokens_cached_total", labels(model_name))]
    prompt_tokens_cached: DynamicFamily<Counter, 1>,
    /// Tokens generated, as they pass.
    #[metric(name = "vllm:generation_tokens_total", labels(model_name), unit = tokens)]
    generation_tokens: DynamicFamily<Counter, 1>,
    /// Tokens of a prompt.
    #[metric(
        name = "vllm:request_prompt_tokens", labels(model_name),
        unit = tokens, buckets = token_counts
    )]
    request_prompt_tokens: DynamicFamily<Histogram, 1>,
    /// Tokens of an answer.
    #[metric(
        name = "vllm:request_generation_tokens", labels(model_name),
        unit = tokens, buckets = token_counts
    )]
    request_generation_tokens: DynamicFamily<Histogram, 1>,
    /// Requests that ended, by why.
    #[metric(name = "vllm:request_success_total", labels(model_name, finished_reason))]
    request_success: DynamicFamily<Counter, 2>,
}

/// Why a request ended, in vLLM's words.
#[derive(Debug, Clone, Copy, LabelValue)]
enum Finish {
    Stop,
    Length,
    Abort,
    Error,
}

impl GenAiSet {
    /// The table of what is called how: the label that is not the operation or the model comes last.
    pub(super) fn finished(&self, finished: &Finished<'_>) {
        for (measure, family, last) in [
            (Measure::Duration, &self.server_request_duration_seconds, finished.error_type),
            (Measure::FirstToken, &self.server_time_to_first_token_seconds, ""),
            (Measure::PerToken, &self.server_time_per_output_token_seconds, ""),
            (Measure::ToldInputTokens, &self.client_token_usage, "input"),
            (Measure::ToldOutputTokens, &self.client_token_usage, "output"),
        ] {
            if let Some(sample) = finished.get(measure) {
                let labels = [operation(finished.endpoint), finished.model, last];
                family.with_ref(labels, |histogram| histogram.observe(sample));
            }
        }
    }

    pub(super) fn remove(&self, model: &str) {
        for family in [
            &self.server_request_duration_seconds,
            &self.server_time_to_first_token_seconds,
            &self.server_time_per_output_token_seconds,
            &self.client_token_usage,
        ] {
            family.remove_where("gen_ai_request_model", model);
        }
    }
}

/// What the conventions call an endpoint's operation; their own words are for a few of them.
fn operation(endpoint: &str) -> &str {
    match endpoint {
        "chat_completions" | "responses" | "anthropic_messages" => "chat",
        "completions" => "text_completion",
        other => other,
    }
}

impl VllmSet {
    /// The table of what is called how.
    pub(super) fn add(&self, name: &str, model: &mut Model) {
        let name = [name];
        model.first_token.push(self.time_to_first_token.with(name));
        model.per_chunk.push(self.inter_token_latency.with(name));
        model.output_tokens.push(self.generation_tokens.with(name));
        for (measure, family) in [
            (Measure::Duration, &self.e2e_request_latency),
            (Measure::PerToken, &self.time_per_output_token),
            (Measure::InputTokens, &self.request_prompt_tokens),
            (Measure::OutputTokens, &self.request_generation_tokens),
        ] {
            model.samples.push((measure, family.with(name)));
        }
        for (measure, family) in [
            (Measure::InputTokens, &self.prompt_tokens),
            (Measure::CachedTokens, &self.prompt_tokens_cached),
        ] {
            model.sums.push((measure, family.with(name)));
        }
    }

    pub(super) fn finished(&self, finished: &Finished<'_>) {
        let finish = match (finished.end.outcome, finished.finish) {
            // They never came to an engine.
            (Outcome::ClientError | Outcome::Rejected, _) => return,
            (Outcome::Success, Some(FinishReason::Length)) => Finish::Length,
            (Outcome::Success, Some(FinishReason::Cancelled)) | (Outcome::Cancelled, _) => {
                Finish::Abort
            }
            (Outcome::Success, reason) if reason != Some(FinishReason::Error) => Finish::Stop,
            _ => Finish::Error,
        };
        self.request_success.with_ref([finished.model, finish.as_label()], Counter::inc);
    }

    pub(super) fn remove(&self, model: &str) {
        for family in [
            &self.time_to_first_token,
            &self.inter_token_latency,
            &self.time_per_output_token,
            &self.e2e_request_latency,
            &self.request_prompt_tokens,
            &self.request_generation_tokens,
        ] {
            family.remove_where("model_name", model);
        }
        for family in [&self.prompt_tokens, &self.prompt_tokens_cached, &self.generation_tokens] {
            family.remove_where("model_name", model);
        }
        self.request_success.remove_where("model_name", model);
    }
}
