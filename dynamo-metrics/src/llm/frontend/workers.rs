//! The last values of each worker, for as long as it is there.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::environment::PREFIX;
use crate::label::LabelValue;
use crate::llm::roster::{Leave, Member, Roster};
use crate::metric::{FloatGauge, Gauge};
use crate::registry::{DynamicFamily, MetricSet};

/// Workers of a frontend.
///
/// # Source
/// The router's books, and the requests that a worker served.
#[derive(Debug, MetricSet)]
#[metric_set(fixed_prefix = PREFIX)]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct WorkerSet {
    /// Blocks that a worker's requests hold.
    #[metric(labels(worker_id, dp_rank, worker_type), of_workers)]
    worker_active_decode_blocks: DynamicFamily<Gauge, 3>,
    /// Tokens of prompts that a worker has still to read.
    #[metric(labels(worker_id, dp_rank, worker_type), of_workers)]
    worker_active_prefill_tokens: DynamicFamily<Gauge, 3>,
    /// Time to the first token of the request that a worker served last.
    #[metric(labels(worker_id, dp_rank, worker_type), of_workers, unit = seconds)]
    worker_last_time_to_first_token_seconds: DynamicFamily<FloatGauge, 3>,
    /// Tokens of that request's prompt.
    #[metric(labels(worker_id, dp_rank, worker_type), of_workers, unit = tokens)]
    worker_last_input_sequence_tokens: DynamicFamily<Gauge, 3>,
    /// Time between the last two tokens of a worker.
    #[metric(labels(worker_id, dp_rank, worker_type), of_workers, unit = seconds)]
    worker_last_inter_token_latency_seconds: DynamicFamily<FloatGauge, 3>,
}

/// What a worker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum WorkerType {
    /// It reads prompts.
    Prefill,
    /// It generates.
    Decode,
}

/// A worker's number, its rank if it has one, and what it is there for.
pub(super) type Key = (u64, Option<u32>, WorkerType);

/// A worker of a frontend: the gauges `dynamo_frontend_worker_*`, by `worker_id`, `dp_rank` and
/// `worker_type`.
///
/// Keep it for as long as the worker is there; its series go with the last handle. Of a request that it
/// serves, tell by [`RequestMetrics::worker`](crate::llm::RequestMetrics::worker).
///
/// # Unit
/// Seconds, tokens and blocks, as the methods say.
/// # Source
/// The router, for what it has in its books; the requests, for the last values.
/// # Cost
/// To record is one store.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{FrontendMetrics, WorkerType};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let frontend = FrontendMetrics::register(&registry)?;
/// let worker = frontend.worker(12, Some(0), WorkerType::Decode);
/// worker.active_decode_blocks(40);
/// assert!(encode::text(&registry).contains(
///     "dynamo_frontend_worker_active_decode_blocks{dp_rank=\"0\",worker_id=\"12\",\
///      worker_type=\"decode\"} 40\n"
/// ));
/// drop(worker);
/// assert!(!encode::text(&registry).contains("worker_id=\"12\""));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Worker(Arc<Member<Key, WorkerSeries>>);

/// The series of a worker, each made when there is something to say.
#[derive(Debug)]
pub(super) struct WorkerSeries {
    set: Arc<WorkerSet>,
    id: Box<str>,
    rank: Box<str>,
    kind: WorkerType,
    active_decode_blocks: OnceLock<Gauge>,
    active_prefill_tokens: OnceLock<Gauge>,
    last_first_token: OnceLock<FloatGauge>,
    last_input_tokens: OnceLock<Gauge>,
    last_inter_token: OnceLock<FloatGauge>,
}

/// Workers that are there.
#[derive(Debug)]
pub(super) struct Workers {
    set: Arc<WorkerSet>,
    there: Arc<Roster<Key, WorkerSeries>>,
}

impl Workers {
    pub(super) fn new(set: WorkerSet) -> Self {
        Self { set: Arc::new(set), there: Roster::new() }
    }

    pub(super) fn join(&self, key: Key) -> Worker {
        let series = || {
            let (id, rank, kind) = key;
            WorkerSeries {
                set: Arc::clone(&self.set),
                id: id.to_string().into(),
                rank: rank.map_or_else(|| "none".to_owned(), |rank| rank.to_string()).into(),
                kind,
                active_decode_blocks: OnceLock::new(),
                active_prefill_tokens: OnceLock::new(),
                last_first_token: OnceLock::new(),
                last_input_tokens: OnceLock::new(),
                last_inter_token: OnceLock::new(),
            }
        };
        Worker(self.there.join(key, series))
    }
}

impl WorkerSeries {
    fn labels(&self) -> [&str; 3] {
        [&self.id, &self.rank, self.kind.as_label()]
    }
}

impl Leave for WorkerSeries {
    fn leave(&self) {
        let (set, labels) = (&self.set, self.labels());
        set.worker_active_decode_blocks.remove(labels);
        set.worker_active_prefill_tokens.remove(labels);
        set.worker_last_time_to_first_token_seconds.remove(labels);
        set.worker_last_input_sequence_tokens.remove(labels);
        set.worker_last_inter_token_latency_seconds.remove(labels);
    }
}

impl Worker {
    /// What it is there for.
    #[must_use]
    pub fn kind(&self) -> WorkerType {
        self.0.series.kind
    }

    /// Its requests hold so many blocks of its KV cache.
    pub fn active_decode_blocks(&self, blocks: u64) {
        let series = &self.0.series;
        let make = || series.set.worker_active_decode_blocks.with(series.labels());
        series.active_decode_blocks.get_or_init(make).set(whole(blocks));
    }

    /// It has so many tokens of prompts still to read.
    pub fn active_prefill_tokens(&self, tokens: u64) {
        let series = &self.0.series;
        let make = || series.set.worker_active_prefill_tokens.with(series.labels());
        series.active_prefill_tokens.get_or_init(make).set(whole(tokens));
    }

    pub(in crate::llm) fn first_token(&self, time: Duration) {
        let series = &self.0.series;
        let make = || series.set.worker_last_time_to_first_token_seconds.with(series.labels());
        series.last_first_token.get_or_init(make).set(time.as_secs_f64());
    }

    pub(in crate::llm) fn input_tokens(&self, tokens: u64) {
        let series = &self.0.series;
        let make = || series.set.worker_last_input_sequence_tokens.with(series.labels());
        series.last_input_tokens.get_or_init(make).set(whole(tokens));
    }

    #[inline]
    pub(in crate::llm) fn inter_token(&self, seconds: f64) {
        let series = &self.0.series;
        let make = || series.set.worker_last_inter_token_latency_seconds.with(series.labels());
        series.last_inter_token.get_or_init(make).set(seconds);
    }
}

fn whole(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
