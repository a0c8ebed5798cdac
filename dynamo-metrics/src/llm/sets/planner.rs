//! A planner: what it observes, predicts and decides.

use std::sync::Arc;

use super::whole;
use crate::label::LabelValue;
use crate::llm::roster::{Leave, Member, Roster};
use crate::metric::{FloatGauge, Gauge, StateSet};
use crate::registry::{DynamicFamily, Lazy, MetricSet, RegisterError, Scope};

/// A planner of replicas, under the prefix `dynamo_planner`.
///
/// Its gauges are its fields: set them as [`FloatGauge`]s. Each is there once it was set, so that what
/// is not known does not read as zero.
///
/// # Unit
/// As the names say: `_ms` is milliseconds, `gpu_hours` hours of one GPU.
/// # Source
/// The planner, at each of its ticks.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{LoadDecision, PlannerMetrics};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let planner = PlannerMetrics::register(&registry, None)?;
/// planner.gauges.observed_ttft_ms.set(180.0);
/// planner.gauges.load_scaling_decision.set(&LoadDecision::ScaleUp);
/// let engine = planner.engine(12, 0);
/// engine.queued_prefill_tokens(4_096);
/// let text = encode::text(&registry);
/// assert!(text.contains("dynamo_planner_observed_ttft_ms 180\n"));
/// assert!(!text.contains("dynamo_planner_observed_itl_ms"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PlannerMetrics {
    /// The planner's values.
    pub gauges: Arc<PlannerGauges>,
    engines: Arc<EngineFamilies>,
    there: Arc<Roster<(u64, u32), EngineSeries>>,
}

/// What a planner observes, predicts and decides.
///
/// # Source
/// The planner, at each of its ticks.
#[derive(Debug, MetricSet)]
#[metric_set(name = "PlannerMetrics", prefix = "dynamo_planner")]
#[non_exhaustive]
pub struct PlannerGauges {
    /// Prefill workers that there are.
    pub num_prefill_replicas: Lazy<FloatGauge>,
    /// Decode workers that there are.
    pub num_decode_replicas: Lazy<FloatGauge>,
    /// Time to the first token that was observed, in milliseconds.
    pub observed_ttft_ms: Lazy<FloatGauge>,
    /// Time between tokens that was observed, in milliseconds.
    pub observed_itl_ms: Lazy<FloatGauge>,
    /// Requests in a second that were observed.
    pub observed_requests_per_second: Lazy<FloatGauge>,
    /// Mean time of a request that was observed.
    #[metric(unit = seconds)]
    pub observed_request_duration_seconds: Lazy<FloatGauge>,
    /// Mean tokens of a prompt that were observed.
    #[metric(unit = tokens)]
    pub observed_input_sequence_tokens: Lazy<FloatGauge>,
    /// Mean tokens of an answer that were observed.
    #[metric(unit = tokens)]
    pub observed_output_sequence_tokens: Lazy<FloatGauge>,
    /// Requests in a second that are expected.
    pub predicted_requests_per_second: Lazy<FloatGauge>,
    /// Tokens of a prompt that are expected.
    #[metric(unit = tokens)]
    pub predicted_input_sequence_tokens: Lazy<FloatGauge>,
    /// Tokens of an answer that are expected.
    #[metric(unit = tokens)]
    pub predicted_output_sequence_tokens: Lazy<FloatGauge>,
    /// Prefill workers that there should be.
    pub predicted_num_prefill_replicas: Lazy<FloatGauge>,
    /// Decode workers that there should be.
    pub predicted_num_decode_replicas: Lazy<FloatGauge>,
    /// Hours of one GPU that were used.
    pub gpu_hours: Lazy<FloatGauge>,
    /// The longest time to the first token that is wanted, in milliseconds.
    pub sla_target_ttft_ms: Lazy<FloatGauge>,
    /// The longest time between tokens that is wanted, in milliseconds.
    pub sla_target_itl_ms: Lazy<FloatGauge>,
    /// Time to the first token that is estimated, in milliseconds.
    pub estimated_ttft_ms: Lazy<FloatGauge>,
    /// Time between tokens that is estimated, in milliseconds.
    pub estimated_itl_ms: Lazy<FloatGauge>,
    /// Requests in a second that one prefill engine can take.
    pub engine_prefill_capacity_requests_per_second: Lazy<FloatGauge>,
    /// Requests in a second that one decode engine can take.
    pub engine_decode_capacity_requests_per_second: Lazy<FloatGauge>,
    /// Power that there is, in watts.
    pub power_budget_total_watts: Lazy<FloatGauge>,
    /// Power that the workers are expected to take, in watts.
    pub power_projected_watts: Lazy<FloatGauge>,
    /// Share of the power that they take.
    pub power_budget_utilization: Lazy<FloatGauge>,
    /// What was decided by the load.
    pub load_scaling_decision: StateSet<LoadDecision>,
    /// What was decided by the throughput.
    pub throughput_scaling_decision: StateSet<ThroughputDecision>,
}

/// Engines as a planner sees them.
///
/// # Source
/// What engines tell of their forward passes.
#[derive(Debug, MetricSet)]
#[metric_set(name = "PlannedEngine", prefix = "dynamo_planner")]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct EngineFamilies {
    /// Tokens of prompts that wait in an engine.
    #[metric(labels(worker_id, dp_rank), of_workers, unit = tokens)]
    engine_queued_prefill_tokens: DynamicFamily<Gauge, 2>,
    /// Tokens in the KV cache of requests that wait to go on.
    #[metric(labels(worker_id, dp_rank), of_workers, unit = tokens)]
    engine_queued_decode_kv_tokens: DynamicFamily<Gauge, 2>,
    /// Tokens in the KV cache of requests that go on.
    #[metric(labels(worker_id, dp_rank), of_workers, unit = tokens)]
    engine_inflight_decode_kv_tokens: DynamicFamily<Gauge, 2>,
}

/// Why a planner scales by the load, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
#[expect(missing_docs, reason = "Dynamo's words")]
pub enum LoadDecision {
    Unset,
    Disabled,
    NoFpmData,
    ScalingInProgress,
    WorkerCountMismatch,
    InsufficientData,
    NoChange,
    ScaleUp,
    ScaleDown,
    ScaleDownCappedByThroughput,
    ScaleDownRefusedConsolidation,
    OverrideByUserPlugin,
    ReconcileClampedToFloor,
    ReconcileClampedToCeiling,
    HeldOver,
    RejectedByPlugin,
}

/// Why a planner scales by the throughput, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
#[expect(missing_docs, reason = "Dynamo's words")]
pub enum ThroughputDecision {
    Unset,
    Disabled,
    NoTrafficData,
    PredictFailed,
    ModelNotReady,
    SetLowerBound,
    Scale,
    OverrideByUserPlugin,
    HeldOver,
    CircuitOpen,
    RejectedByPlugin,
}

/// An engine of a worker. Keep it for as long as the worker is there; its series go with the last
/// handle.
#[derive(Debug, Clone)]
pub struct PlannedEngine(Arc<Member<(u64, u32), EngineSeries>>);

#[derive(Debug)]
struct EngineSeries {
    families: Arc<EngineFamilies>,
    labels: [Box<str>; 2],
    queued_prefill: Gauge,
    queued_decode: Gauge,
    inflight_decode: Gauge,
}

impl PlannerMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_planner` unless the scope was given
    /// another; with the label `model_name`, if it plans for one model of several.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope, model: Option<&str>) -> Result<Self, RegisterError> {
        let label = model.map(|model| ("model_name", model));
        let labels = label.as_slice();
        Ok(Self {
            gauges: Arc::new(PlannerGauges::register_with(scope, labels)?),
            engines: Arc::new(EngineFamilies::register_with(scope, labels)?),
            there: Roster::new(),
        })
    }

    /// An engine is there.
    #[must_use]
    pub fn engine(&self, worker_id: u64, dp_rank: u32) -> PlannedEngine {
        let families = &self.engines;
        PlannedEngine(self.there.join((worker_id, dp_rank), || {
            let labels = [worker_id.to_string().into(), dp_rank.to_string().into()];
            let [worker, rank]: &[Box<str>; 2] = &labels;
            let of = [&**worker, &**rank];
            EngineSeries {
                families: Arc::clone(families),
                queued_prefill: families.engine_queued_prefill_tokens.with(of),
                queued_decode: families.engine_queued_decode_kv_tokens.with(of),
                inflight_decode: families.engine_inflight_decode_kv_tokens.with(of),
                labels,
            }
        }))
    }
}

impl PlannedEngine {
    /// So many tokens of prompts wait.
    pub fn queued_prefill_tokens(&self, tokens: u64) {
        self.0.series.queued_prefill.set(whole(tokens));
    }

    /// So many tokens are in the KV cache for requests that wait to go on.
    pub fn queued_decode_kv_tokens(&self, tokens: u64) {
        self.0.series.queued_decode.set(whole(tokens));
    }

    /// So many tokens are in the KV cache for requests that go on.
    pub fn inflight_decode_kv_tokens(&self, tokens: u64) {
        self.0.series.inflight_decode.set(whole(tokens));
    }
}

impl Leave for EngineSeries {
    fn leave(&self) {
        let ([worker, rank], families) = (&self.labels, &self.families);
        for family in [
            &families.engine_queued_prefill_tokens,
            &families.engine_queued_decode_kv_tokens,
            &families.engine_inflight_decode_kv_tokens,
        ] {
            family.remove([worker, rank]);
        }
    }
}
