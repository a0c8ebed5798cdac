//! A KV router: what comes to it, what it chooses, and what that choice costs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::whole;
use crate::label::{LabelSet, LabelValue};
use crate::llm::endpoint::PREFIX;
use crate::llm::frontend::{ServingPhase, WorkerType};
use crate::llm::roster::{Leave, Member, Roster};
use crate::llm::tokens;
use crate::metric::{Buckets, Counter, Gauge, Histogram};
use crate::registry::{DynamicFamily, Family, MetricSet, RegisterError, Scope};

/// A KV router, under the names of Dynamo's: `dynamo_component_router_*`, all with the label
/// `router_id`.
///
/// | metric (`dynamo_component_router_` ..) | |
/// |---|---|
/// | `requests_started_total`, `requests_total` | requests that came; those that went on to a worker |
/// | `time_to_first_token_seconds`, `inter_token_latency_seconds` | seen at the router; the latter is a mean by request |
/// | `input_sequence_tokens{phase,model}`, `output_sequence_tokens` | tokens of prompts and answers |
/// | `kv_hit_rate` | the share of a prompt's blocks that the chosen worker should have |
/// | `kv_transfer_estimated_latency_seconds` | from the end of the prefill to the first token |
/// | `shared_cache_hit_rate`, `shared_cache_beyond_blocks` | the share of blocks in the shared cache; those that the worker has not |
/// | `non_max_overlap_selections_total{worker_type}`, `overlap_blocks_lost{worker_type}` | choices of a worker that has fewer blocks than another, and how many fewer |
/// | `kv_best_eligible_cached_prefix_tokens_total`, `kv_selected_cached_prefix_tokens_total`, `kv_worker_reused_tokens_total` `{phase,model}` | cached tokens of the best worker, of the chosen one, and as that one tells |
/// | `remote_indexer_query_failures_total`, `remote_indexer_write_failures_total` | failures of a remote index |
/// | `worker_registered{router_worker_id,dp_rank,worker_type}` | workers that the router knows |
/// | `kv_event_source_mismatch_workers{model,worker_type,target_*}` | workers whose events come from elsewhere than they should |
///
/// # Unit
/// Seconds, tokens and blocks, as the names say; rates from 0 to 1.
/// # Source
/// The router: where it takes a request, chooses, and sees answers pass.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{RouterMetrics, ServingPhase, WorkerType};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let router = RouterMetrics::register(&registry.component("backend"), 7)?;
/// let llama = router.serve("llama");
/// let worker = router.worker(12, Some(0), WorkerType::Decode);
/// router.started();
/// llama.input_tokens(ServingPhase::Aggregated, 512);
/// router.predicted_hits(24, 32);
/// router.dispatched();
/// let text = encode::text(&registry);
/// let labels = "dynamo_component=\"backend\",router_id=\"7\"";
/// assert!(text.contains(&format!("dynamo_component_router_kv_hit_rate_sum{{{labels}}} 0.75\n")));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RouterMetrics {
    set: Arc<RouterSet>,
    models: Arc<Roster<Box<str>, ModelSeries>>,
    workers: Arc<Roster<WorkerKey, WorkerSeries>>,
}

type WorkerKey = (u64, Option<u32>, WorkerType);

/// A KV router.
///
/// # Source
/// The router: where it takes a request, chooses, and sees answers pass.
#[derive(Debug, MetricSet)]
#[metric_set(name = "RouterMetrics", prefix = PREFIX)]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct RouterSet {
    /// Requests that came to the router.
    router_requests_started_total: Counter,
    /// Requests that went on to a worker.
    router_requests_total: Counter,
    /// Time to the first token, seen at the router.
    #[metric(unit = seconds, buckets = tokens::ttft_buckets)]
    router_time_to_first_token_seconds: Histogram,
    /// Mean time between tokens, by request, seen at the router.
    #[metric(unit = seconds, buckets = Buckets::log(0.001, 2.0, 13))]
    router_inter_token_latency_seconds: Histogram,
    /// Tokens of a prompt.
    #[metric(labels(phase, model), unit = tokens, buckets = Buckets::log(50.0, 128_000.0, 12))]
    router_input_sequence_tokens: DynamicFamily<Histogram, 2>,
    /// Tokens of an answer.
    #[metric(unit = tokens, buckets = Buckets::log(50.0, 32_000.0, 10))]
    router_output_sequence_tokens: Histogram,
    /// Share of a prompt's blocks that the chosen worker should have.
    #[metric(buckets = Buckets::linear(0.0, 0.05, 21))]
    router_kv_hit_rate: Histogram,
    /// Most time that moving a KV cache may have taken.
    #[metric(unit = seconds, buckets = Buckets::log(0.001, 10.0, 15))]
    router_kv_transfer_estimated_latency_seconds: Histogram,
    /// Share of a prompt's blocks that the shared cache has.
    #[metric(buckets = Buckets::linear(0.0, 0.05, 21))]
    router_shared_cache_hit_rate: Histogram,
    /// Blocks that the shared cache has and the chosen worker has not.
    #[metric(buckets = Buckets::exponential(1.0, 2.0, 12))]
    router_shared_cache_beyond_blocks: Histogram,
    /// Choices of a worker that has fewer blocks than another one.
    router_non_max_overlap_selections_total: Family<ByWorkerType, Counter>,
    /// By how many blocks.
    #[metric(buckets = Buckets::exponential(0.25, 2.0, 16))]
    router_overlap_blocks_lost: Family<ByWorkerType, Histogram>,
    /// Tokens of prompts that the best worker has in its cache.
    #[metric(labels(phase, model), unit = tokens)]
    router_kv_best_eligible_cached_prefix_tokens_total: DynamicFamily<Counter, 2>,
    /// Tokens of prompts that the chosen worker has in its cache.
    #[metric(labels(phase, model), unit = tokens)]
    router_kv_selected_cached_prefix_tokens_total: DynamicFamily<Counter, 2>,
    /// Tokens of prompts that the worker says it had.
    #[metric(labels(phase, model), unit = tokens)]
    router_kv_worker_reused_tokens_total: DynamicFamily<Counter, 2>,
    /// Times that a remote index could not be asked.
    router_remote_indexer_query_failures_total: Counter,
    /// Times that a remote index could not be told.
    router_remote_indexer_write_failures_total: Counter,
    /// Workers that the router knows.
    #[metric(labels(router_worker_id, dp_rank, worker_type))]
    router_worker_registered: DynamicFamily<Gauge, 3>,
    /// Workers whose events come from elsewhere than they should.
    #[metric(labels(model, worker_type, target_namespace, target_component, target_endpoint))]
    router_kv_event_source_mismatch_workers: DynamicFamily<Gauge, 5>,
}

#[derive(LabelSet)]
struct ByWorkerType {
    worker_type: WorkerType,
}

/// A model that a router serves. Keep it for as long as it does; its series go with the last handle.
#[derive(Debug, Clone)]
pub struct RoutedModel(Arc<Member<Box<str>, ModelSeries>>);

#[derive(Debug)]
struct ModelSeries {
    set: Arc<RouterSet>,
    name: Box<str>,
    phases: [OnceLock<PhaseSeries>; 3],
}

/// A model's series in one phase.
#[derive(Debug)]
struct PhaseSeries {
    input_tokens: Histogram,
    best: Counter,
    selected: Counter,
    reused: Counter,
}

/// A worker that a router knows, until the last handle is dropped.
#[derive(Debug, Clone)]
#[must_use = "the worker is gone when this is dropped"]
pub struct RegisteredWorker {
    _there: Arc<Member<WorkerKey, WorkerSeries>>,
}

#[derive(Debug)]
struct WorkerSeries {
    set: Arc<RouterSet>,
    labels: [Box<str>; 2],
    kind: WorkerType,
}

impl RouterMetrics {
    /// Registers the set in `scope`, mostly a component's, for the router of this number.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope, router_id: u64) -> Result<Self, RegisterError> {
        let labels = [("router_id", &*router_id.to_string())];
        let set = Arc::new(RouterSet::register_with(scope, &labels)?);
        Ok(Self { set, models: Roster::new(), workers: Roster::new() })
    }

    /// A model is served: it becomes a label.
    #[must_use]
    pub fn serve(&self, model: &str) -> RoutedModel {
        let (set, name): (_, Box<str>) = (Arc::clone(&self.set), model.into());
        let phases = [const { OnceLock::new() }; 3];
        RoutedModel(self.models.join(name.clone(), || ModelSeries { set, name, phases }))
    }

    /// A worker is there.
    pub fn worker(&self, id: u64, dp_rank: Option<u32>, kind: WorkerType) -> RegisteredWorker {
        let set = &self.set;
        let there = self.workers.join((id, dp_rank, kind), || {
            let rank = dp_rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string());
            let labels = [id.to_string().into(), rank.into()];
            let series = WorkerSeries { set: Arc::clone(set), labels, kind };
            set.router_worker_registered.with_ref(series.labels(), |there| there.set(1));
            series
        });
        RegisteredWorker { _there: there }
    }

    /// A request came.
    pub fn started(&self) {
        self.set.router_requests_started_total.inc();
    }

    /// A request went on to a worker.
    pub fn dispatched(&self) {
        self.set.router_requests_total.inc();
    }

    /// The first token of an answer passed, so long after its request came.
    pub fn first_token(&self, time: Duration) {
        self.set.router_time_to_first_token_seconds.observe_duration(time);
    }

    /// An answer ended, with so many tokens, between which lay so much time on average.
    pub fn finished(&self, output_tokens: u64, inter_token: Option<Duration>) {
        if output_tokens > 0 {
            self.set.router_output_sequence_tokens.observe(output_tokens as f64);
        }
        if let Some(time) = inter_token {
            self.set.router_inter_token_latency_seconds.observe_duration(time);
        }
    }

    /// A worker was chosen that should have so many of the prompt's blocks.
    pub fn predicted_hits(&self, hits: u64, blocks: u64) {
        if blocks > 0 {
            self.set.router_kv_hit_rate.observe(hits as f64 / blocks as f64);
        }
    }

    /// The shared cache has so many of the prompt's blocks, of which so many the chosen worker has not.
    pub fn shared_hits(&self, hits: u64, blocks: u64, beyond: u64) {
        if blocks > 0 {
            self.set.router_shared_cache_hit_rate.observe(hits as f64 / blocks as f64);
        }
        self.set.router_shared_cache_beyond_blocks.observe(beyond as f64);
    }

    /// From the end of a prefill to the first token of the worker that generates it took so long.
    pub fn kv_transferred(&self, at_most: Duration) {
        self.set.router_kv_transfer_estimated_latency_seconds.observe_duration(at_most);
    }

    /// A worker was chosen that has so many blocks fewer than another one.
    pub fn overlap_lost(&self, kind: WorkerType, blocks: f64) {
        let labels = ByWorkerType { worker_type: kind };
        self.set.router_non_max_overlap_selections_total.with_ref(&labels, Counter::inc);
        self.set.router_overlap_blocks_lost.with_ref(&labels, |lost| lost.observe(blocks));
    }

    /// A remote index could not be asked.
    pub fn index_query_failed(&self) {
        self.set.router_remote_indexer_query_failures_total.inc();
    }

    /// A remote index could not be told.
    pub fn index_write_failed(&self) {
        self.set.router_remote_indexer_write_failures_total.inc();
    }
}

impl RoutedModel {
    /// A prompt of the model has so many tokens.
    pub fn input_tokens(&self, phase: ServingPhase, tokens: u64) {
        self.0.series.phase(phase).input_tokens.observe(tokens as f64);
    }

    /// Of a prompt the best worker has so many tokens in its cache, and the chosen one so many.
    pub fn cached_prefix(&self, phase: ServingPhase, best: u64, selected: u64) {
        let series = self.0.series.phase(phase);
        series.best.inc_by(best);
        series.selected.inc_by(selected);
    }

    /// A worker says that it had so many tokens of a prompt.
    pub fn reused(&self, phase: ServingPhase, tokens: u64) {
        self.0.series.phase(phase).reused.inc_by(tokens);
    }

    /// So many workers of a type tell events of another place than `target`: namespace, component,
    /// endpoint.
    pub fn mismatched_event_sources(&self, kind: WorkerType, target: [&str; 3], workers: u64) {
        let ([namespace, component, endpoint], series) = (target, &self.0.series);
        let labels = [&*series.name, kind.as_label(), namespace, component, endpoint];
        let family = &series.set.router_kv_event_source_mismatch_workers;
        family.with_ref(labels, |gauge| gauge.set(whole(workers)));
    }
}

impl ModelSeries {
    fn phase(&self, phase: ServingPhase) -> &PhaseSeries {
        let labels = [phase.as_label(), &*self.name];
        let make = || PhaseSeries {
            input_tokens: self.set.router_input_sequence_tokens.with(labels),
            best: self.set.router_kv_best_eligible_cached_prefix_tokens_total.with(labels),
            selected: self.set.router_kv_selected_cached_prefix_tokens_total.with(labels),
            reused: self.set.router_kv_worker_reused_tokens_total.with(labels),
        };
        self.phases[phase as usize].get_or_init(make)
    }
}

impl Leave for ModelSeries {
    fn leave(&self) {
        let (set, name) = (&self.set, &self.name);
        set.router_input_sequence_tokens.remove_where("model", name);
        for family in [
            &set.router_kv_best_eligible_cached_prefix_tokens_total,
            &set.router_kv_selected_cached_prefix_tokens_total,
            &set.router_kv_worker_reused_tokens_total,
        ] {
            family.remove_where("model", name);
        }
        set.router_kv_event_source_mismatch_workers.remove_where("model", name);
    }
}

impl WorkerSeries {
    fn labels(&self) -> [&str; 3] {
        let [id, rank] = &self.labels;
        [id, rank, self.kind.as_label()]
    }
}

impl Leave for WorkerSeries {
    fn leave(&self) {
        self.set.router_worker_registered.remove(self.labels());
    }
}
