//! The queue of a frontend's router, and who is not let into it.

use std::sync::Arc;

use super::environment::PREFIX;
use super::workers::WorkerType;
use crate::label::LabelValue;
use crate::llm::roster::{Leave, Member, Roster};
use crate::metric::{Counter, Gauge};
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

/// The queues of a frontend's router, by model, type of worker and class of requests.
///
/// # Unit
/// Requests and tokens.
/// # Source
/// The router, at each change of a queue.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{AdmissionMetrics, WorkerType};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let admission = AdmissionMetrics::register(&registry)?;
/// let queue = admission.queue("llama", WorkerType::Prefill, "interactive");
/// queue.received();
/// queue.pending(3, 4_096, 512);
/// assert!(encode::text(&registry).contains(
///     "dynamo_frontend_router_queue_pending_requests{model=\"llama\",\
///      policy_class=\"interactive\",worker_type=\"prefill\"} 3\n"
/// ));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct AdmissionMetrics {
    set: Arc<AdmissionSet>,
    there: Arc<Roster<Key, QueueSeries>>,
}

type Key = (Box<str>, WorkerType, Box<str>);

/// Queues of a frontend's router.
///
/// # Source
/// The router, at each change of a queue.
#[derive(Debug, MetricSet)]
#[metric_set(name = "AdmissionMetrics", fixed_prefix = PREFIX)]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct AdmissionSet {
    /// Requests that wait for a worker.
    #[metric(labels(model, worker_type, policy_class))]
    router_queue_pending_requests: DynamicFamily<Gauge, 3>,
    /// Tokens of their prompts.
    #[metric(labels(model, worker_type, policy_class), unit = tokens)]
    router_queue_pending_isl_tokens: DynamicFamily<Gauge, 3>,
    /// Those of these tokens that a worker has in its cache.
    #[metric(labels(model, worker_type, policy_class), unit = tokens)]
    router_queue_pending_cached_tokens: DynamicFamily<Gauge, 3>,
    /// Requests that came to the queue.
    #[metric(labels(model, worker_type, policy_class))]
    router_admission_received_total: DynamicFamily<Counter, 3>,
    /// Requests that were not let in, by why.
    #[metric(labels(model, worker_type, policy_class, reason))]
    router_admission_rejected_total: DynamicFamily<Counter, 4>,
    /// Times that a queue was full, by of what.
    #[metric(labels(model, worker_type, policy_class, reason))]
    router_queue_backpressure_total: DynamicFamily<Counter, 4>,
}

/// Why a request was not let into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum AdmissionReject {
    /// It was due before it came.
    DueTimePassed,
    /// It would have come too late.
    PredictedMiss,
}

/// Of what a queue was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum QueueLimit {
    /// Requests.
    RequestLimit,
    /// Tokens of prompts.
    RawIslTokenLimit,
    /// Tokens that a cache has.
    CachedTokenLimit,
}

/// A queue of a router. Keep it for as long as its model is served; its series go with the last
/// handle.
#[derive(Debug, Clone)]
pub struct AdmissionQueue(Arc<Member<Key, QueueSeries>>);

#[derive(Debug)]
struct QueueSeries {
    set: Arc<AdmissionSet>,
    key: Key,
    pending: [Gauge; 3],
    received: Counter,
}

impl AdmissionMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_frontend`.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { set: Arc::new(AdmissionSet::register(scope)?), there: Roster::new() })
    }

    /// The queue of a model that is served, for workers of a type and requests of a class.
    #[must_use]
    pub fn queue(&self, model: &str, kind: WorkerType, policy_class: &str) -> AdmissionQueue {
        let key: Key = (model.into(), kind, policy_class.into());
        let set = &self.set;
        let made = key.clone();
        let labels = [model, kind.as_label(), policy_class];
        AdmissionQueue(self.there.join(key, || QueueSeries {
            set: Arc::clone(set),
            key: made,
            pending: [
                set.router_queue_pending_requests.with(labels),
                set.router_queue_pending_isl_tokens.with(labels),
                set.router_queue_pending_cached_tokens.with(labels),
            ],
            received: set.router_admission_received_total.with(labels),
        }))
    }
}

impl AdmissionQueue {
    /// A request came.
    pub fn received(&self) {
        self.0.series.received.inc();
    }

    /// So many requests wait, with so many tokens of prompts, of which so many are in a cache.
    pub fn pending(&self, requests: u64, isl_tokens: u64, cached_tokens: u64) {
        for (gauge, value) in
            self.0.series.pending.iter().zip([requests, isl_tokens, cached_tokens])
        {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// A request was not let in.
    pub fn rejected(&self, reason: AdmissionReject) {
        let series = &self.0.series;
        let labels = series.labels(reason.as_label());
        series.set.router_admission_rejected_total.with_ref(labels, Counter::inc);
    }

    /// The queue was full.
    pub fn full(&self, of: QueueLimit) {
        let series = &self.0.series;
        let labels = series.labels(of.as_label());
        series.set.router_queue_backpressure_total.with_ref(labels, Counter::inc);
    }
}

impl QueueSeries {
    fn labels<'a>(&'a self, reason: &'a str) -> [&'a str; 4] {
        [&self.key.0, self.key.1.as_label(), &self.key.2, reason]
    }
}

impl Leave for QueueSeries {
    fn leave(&self) {
        let (set, [model, kind, class, _]) = (&self.set, self.labels(""));
        for family in [
            &set.router_queue_pending_requests,
            &set.router_queue_pending_isl_tokens,
            &set.router_queue_pending_cached_tokens,
        ] {
            family.remove([model, kind, class]);
        }
        set.router_admission_received_total.remove([model, kind, class]);
        for reason in AdmissionReject::LABELS {
            set.router_admission_rejected_total.remove([model, kind, class, reason]);
        }
        for limit in QueueLimit::LABELS {
            set.router_queue_backpressure_total.remove([model, kind, class, limit]);
        }
    }
}
