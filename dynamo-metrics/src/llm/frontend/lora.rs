//! LoRA adapters of a frontend: how many replicas each has, and what comes and goes.

use std::sync::Arc;

use super::environment::PREFIX;
use crate::llm::roster::{Leave, Member, Roster};
use crate::metric::FloatGauge;
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

/// The LoRA adapters of a frontend, as the controller that places them sees them.
///
/// # Unit
/// Counts; the estimated load is the controller's own measure.
/// # Source
/// The controller, at each tick.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, llm::LoraMetrics, registry::Registry};
///
/// let registry = Registry::new();
/// let lora = LoraMetrics::register(&registry)?;
/// let adapter = lora.adapter("generate", "law");
/// adapter.replicas(2.0);
/// lora.churn("generate", 1.0, 0.0, 0.0);
/// let line = "dynamo_frontend_lora_replica_factor{endpoint=\"generate\",lora=\"law\"} 2\n";
/// assert!(encode::text(&registry).contains(line));
/// drop(adapter);
/// assert!(!encode::text(&registry).contains("law"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LoraMetrics {
    set: Arc<LoraSet>,
    there: Arc<Roster<Key, AdapterSeries>>,
}

type Key = (Box<str>, Box<str>);

/// LoRA adapters of a frontend.
///
/// # Source
/// The controller that places them, at each tick.
#[derive(Debug, MetricSet)]
#[metric_set(name = "LoraMetrics", fixed_prefix = PREFIX)]
#[expect(clippy::struct_field_names, reason = "they are exposed so")]
pub(super) struct LoraSet {
    /// Workers that an adapter is to be on.
    #[metric(labels(endpoint, lora))]
    lora_replica_factor: DynamicFamily<FloatGauge, 2>,
    /// Whether an adapter is in use.
    #[metric(labels(endpoint, lora))]
    lora_is_active: DynamicFamily<FloatGauge, 2>,
    /// Requests for an adapter since the last tick.
    #[metric(labels(endpoint, lora))]
    lora_raw_arrival_count: DynamicFamily<FloatGauge, 2>,
    /// The load that is expected of an adapter.
    #[metric(labels(endpoint, lora))]
    lora_estimated_load: DynamicFamily<FloatGauge, 2>,
    /// Requests for an adapter that are being answered.
    #[metric(labels(endpoint, lora))]
    lora_active_requests: DynamicFamily<FloatGauge, 2>,
    /// Adapters that were loaded in the last tick.
    #[metric(labels(endpoint))]
    lora_churn_loads_total: DynamicFamily<FloatGauge, 1>,
    /// Adapters that were unloaded in the last tick.
    #[metric(labels(endpoint))]
    lora_churn_unloads_total: DynamicFamily<FloatGauge, 1>,
    /// Adapters that had no place in the last tick.
    #[metric(labels(endpoint))]
    lora_overflow_count: DynamicFamily<FloatGauge, 1>,
}

/// A LoRA adapter. Keep it for as long as it may be asked for; its series go with the last handle.
#[derive(Debug, Clone)]
pub struct LoraAdapter(Arc<Member<Key, AdapterSeries>>);

#[derive(Debug)]
struct AdapterSeries {
    set: Arc<LoraSet>,
    key: Key,
    replicas: FloatGauge,
    active: FloatGauge,
    arrivals: FloatGauge,
    load: FloatGauge,
    requests: FloatGauge,
}

impl LoraMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_frontend`.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { set: Arc::new(LoraSet::register(scope)?), there: Roster::new() })
    }

    /// An adapter that may be asked for at an endpoint.
    #[must_use]
    pub fn adapter(&self, endpoint: &str, lora: &str) -> LoraAdapter {
        let (key, set): (Key, _) = ((endpoint.into(), lora.into()), &self.set);
        let (made, labels) = (key.clone(), [endpoint, lora]);
        LoraAdapter(self.there.join(key, || AdapterSeries {
            set: Arc::clone(set),
            key: made,
            replicas: set.lora_replica_factor.with(labels),
            active: set.lora_is_active.with(labels),
            arrivals: set.lora_raw_arrival_count.with(labels),
            load: set.lora_estimated_load.with(labels),
            requests: set.lora_active_requests.with(labels),
        }))
    }

    /// In the last tick so many adapters of an endpoint were loaded, unloaded, and without a place.
    pub fn churn(&self, endpoint: &str, loads: f64, unloads: f64, overflow: f64) {
        for (family, value) in [
            (&self.set.lora_churn_loads_total, loads),
            (&self.set.lora_churn_unloads_total, unloads),
            (&self.set.lora_overflow_count, overflow),
        ] {
            family.with_ref([endpoint], |gauge| gauge.set(value));
        }
    }
}

impl LoraAdapter {
    /// It is to be on so many workers.
    pub fn replicas(&self, workers: f64) {
        self.0.series.replicas.set(workers);
    }

    /// Whether it is in use.
    pub fn active(&self, active: bool) {
        self.0.series.active.set(if active { 1.0 } else { 0.0 });
    }

    /// So many requests came for it since the last tick.
    pub fn arrivals(&self, requests: f64) {
        self.0.series.arrivals.set(requests);
    }

    /// So much load is expected of it.
    pub fn estimated_load(&self, load: f64) {
        self.0.series.load.set(load);
    }

    /// So many requests for it are being answered.
    pub fn active_requests(&self, requests: f64) {
        self.0.series.requests.set(requests);
    }
}

impl Leave for AdapterSeries {
    fn leave(&self) {
        let (set, labels) = (&self.set, [&*self.key.0, &*self.key.1]);
        for family in [
            &set.lora_replica_factor,
            &set.lora_is_active,
            &set.lora_raw_arrival_count,
            &set.lora_estimated_load,
            &set.lora_active_requests,
        ] {
            family.remove(labels);
        }
    }
}
