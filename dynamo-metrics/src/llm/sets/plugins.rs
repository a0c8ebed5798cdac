//! Plugins of a planner: how they are called, and what becomes of their answers.

use std::sync::Arc;
use std::time::Duration;

use crate::label::LabelValue;
use crate::llm::roster::{Leave, Member, Roster};
use crate::metric::{Counter, FloatGauge, Histogram};
use crate::registry::{DynamicFamily, MetricSet, RegisterError, Scope};

/// In seconds.
const LATENCY: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];
const TICK: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// The plugins of a planner and its ticks, under the prefix `dynamo_planner`.
///
/// # Unit
/// Seconds.
/// # Source
/// The planner, where it calls a plugin and takes its answer.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::llm::{Evaluation, PlannerStage, PluginMetrics};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let plugins = PluginMetrics::register(&registry)?;
/// let budget = plugins.plugin("budget");
/// budget.evaluated(PlannerStage::Constrain, Evaluation::AtMost, Some(Duration::from_millis(2)));
/// plugins.ticked(Duration::from_millis(40));
/// assert!(encode::text(&registry).contains(
///     "dynamo_planner_plugin_evaluations_total{plugin_id=\"budget\",result=\"at_most\",\
///      stage=\"constrain\"} 1\n"
/// ));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PluginMetrics {
    set: Arc<PluginSet>,
    there: Arc<Roster<Box<str>, PluginSeries>>,
}

/// Plugins of a planner, and its ticks.
///
/// # Source
/// The planner, where it calls a plugin and takes its answer.
#[derive(Debug, MetricSet)]
#[metric_set(name = "PluginMetrics", prefix = "dynamo_planner")]
pub(super) struct PluginSet {
    /// Calls of plugins, by what they said.
    #[metric(labels(plugin_id, stage, result))]
    plugin_evaluations_total: DynamicFamily<Counter, 3>,
    /// Time that a call took which was answered.
    #[metric(labels(plugin_id, stage), unit = seconds, buckets = LATENCY)]
    plugin_latency_seconds: DynamicFamily<Histogram, 2>,
    /// Whether a plugin is called: 0 if it is, 0.5 if it is tried, 1 if not.
    #[metric(labels(plugin_id))]
    plugin_circuit_state: DynamicFamily<FloatGauge, 1>,
    /// Times that an earlier answer was taken again.
    #[metric(labels(plugin_id, stage))]
    plugin_held_over_total: DynamicFamily<Counter, 2>,
    /// Age of that answer.
    #[metric(labels(plugin_id), unit = seconds)]
    plugin_cache_age_seconds: DynamicFamily<FloatGauge, 1>,
    /// Whether a plugin had a say in this tick, and which.
    #[metric(labels(plugin_id, stage, override_type))]
    plugin_override_active: DynamicFamily<FloatGauge, 3>,
    /// Replicas that were brought within bounds while plugins were reconciled, by whose they are.
    #[metric(labels(sub_component_type, source))]
    reconcile_clamped_total: DynamicFamily<Counter, 2>,
    /// The same while they were constrained.
    #[metric(labels(sub_component_type, source))]
    constrain_capped_total: DynamicFamily<Counter, 2>,
    /// Ticks that a plugin ended by its no.
    #[metric(labels(plugin_id))]
    reject_short_circuited_total: DynamicFamily<Counter, 1>,
    /// Ticks in which a plugin was not due.
    #[metric(labels(plugin_id))]
    tick_skipped_total: DynamicFamily<Counter, 1>,
    /// Ticks in which a plugin was not given what it needs, by what that is.
    #[metric(labels(plugin_id, missing_field))]
    tick_requires_unsatisfied_total: DynamicFamily<Counter, 2>,
    /// Time by which a plugin was called too late.
    #[metric(labels(plugin_id), unit = seconds)]
    tick_lag_seconds: DynamicFamily<FloatGauge, 1>,
    /// Time of a tick.
    #[metric(unit = seconds, buckets = TICK)]
    tick_duration_seconds: Histogram,
    /// Ticks that took too long.
    tick_timeout_total: Counter,
}

/// A stage of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum PlannerStage {
    /// What will come.
    Predict,
    /// What to do.
    Propose,
    /// What of it.
    Reconcile,
    /// Within which bounds.
    Constrain,
}

/// What came of a call of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Evaluation {
    /// It has nothing to say.
    Accept,
    /// So many.
    Set,
    /// So many, or more.
    AtLeast,
    /// So many, or less.
    AtMost,
    /// No.
    Reject,
    /// No answer in time.
    Timeout,
    /// It failed.
    Error,
    /// An earlier answer was taken again.
    HeldOver,
}

/// What a plugin says that overrides the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[label(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum Override {
    /// So many.
    Set,
    /// So many, or more.
    AtLeast,
    /// So many, or less.
    AtMost,
    /// No.
    Reject,
}

/// Whether a plugin that fails is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Circuit {
    /// It is.
    Closed,
    /// It is tried.
    HalfOpen,
    /// It is not.
    Open,
}

/// A plugin. Keep it for as long as it is there; its series go with the last handle.
#[derive(Debug, Clone)]
pub struct Plugin(Arc<Member<Box<str>, PluginSeries>>);

#[derive(Debug)]
struct PluginSeries {
    set: Arc<PluginSet>,
    id: Box<str>,
}

impl PluginMetrics {
    /// Registers the set in `scope`, under the prefix `dynamo_planner` unless the scope was given
    /// another.
    ///
    /// # Errors
    /// [`RegisterError::Conflict`] and its like, if one of the names is taken by something else.
    pub fn register(scope: &Scope) -> Result<Self, RegisterError> {
        Ok(Self { set: Arc::new(PluginSet::register(scope)?), there: Roster::new() })
    }

    /// A plugin is there.
    #[must_use]
    pub fn plugin(&self, id: &str) -> Plugin {
        let (set, id): (_, Box<str>) = (Arc::clone(&self.set), id.into());
        Plugin(self.there.join(id.clone(), || PluginSeries { set, id }))
    }

    /// A tick took so long.
    pub fn ticked(&self, took: Duration) {
        self.set.tick_duration_seconds.observe_duration(took);
    }

    /// A tick took too long, and was given up.
    pub fn timed_out(&self) {
        self.set.tick_timeout_total.inc();
    }

    /// The replicas of a part were brought within what `source`, a plugin, allows, in one of the
    /// stages that do so.
    pub fn clamped(&self, stage: PlannerStage, sub_component_type: &str, source: &str) {
        let family = match stage {
            PlannerStage::Constrain => &self.set.constrain_capped_total,
            _ => &self.set.reconcile_clamped_total,
        };
        family.with_ref([sub_component_type, source], Counter::inc);
    }
}

impl Plugin {
    /// It was called, or was to be, with this result; and took so long, if it answered.
    pub fn evaluated(&self, stage: PlannerStage, result: Evaluation, took: Option<Duration>) {
        let (PluginSeries { set, id }, stage) = (&self.0.series, stage.as_label());
        set.plugin_evaluations_total.with_ref([id, stage, result.as_label()], Counter::inc);
        if result == Evaluation::HeldOver {
            set.plugin_held_over_total.with_ref([id, stage], Counter::inc);
        }
        if let Some(took) = took {
            set.plugin_latency_seconds.with_ref([id, stage], |time| time.observe_duration(took));
        }
    }

    /// Whether it is called.
    pub fn circuit(&self, circuit: Circuit) {
        let value = match circuit {
            Circuit::Closed => 0.0,
            Circuit::HalfOpen => 0.5,
            Circuit::Open => 1.0,
        };
        let PluginSeries { set, id } = &self.0.series;
        set.plugin_circuit_state.with_ref([id], |state| state.set(value));
    }

    /// An answer of this age was taken again.
    pub fn cache_age(&self, age: Duration) {
        let PluginSeries { set, id } = &self.0.series;
        set.plugin_cache_age_seconds.with_ref([id], |gauge| gauge.set(age.as_secs_f64()));
    }

    /// In this tick it had this say, or none.
    pub fn overrides(&self, stage: PlannerStage, say: Option<Override>) {
        let PluginSeries { set, id } = &self.0.series;
        for (i, word) in Override::LABELS.iter().enumerate() {
            let on = if say.is_some_and(|say| say.index() == i) { 1.0 } else { 0.0 };
            let labels = [&**id, stage.as_label(), word];
            set.plugin_override_active.with_ref(labels, |gauge| gauge.set(on));
        }
    }

    /// Its no ended the tick.
    pub fn short_circuited(&self) {
        let PluginSeries { set, id } = &self.0.series;
        set.reject_short_circuited_total.with_ref([id], Counter::inc);
    }

    /// It was not due in this tick.
    pub fn skipped(&self) {
        let PluginSeries { set, id } = &self.0.series;
        set.tick_skipped_total.with_ref([id], Counter::inc);
    }

    /// It was not given a field that it needs, as the plugin declares it.
    pub fn unsatisfied(&self, missing_field: &str) {
        let PluginSeries { set, id } = &self.0.series;
        set.tick_requires_unsatisfied_total.with_ref([id, missing_field], Counter::inc);
    }

    /// It was called so much too late.
    pub fn lag(&self, late: Duration) {
        let PluginSeries { set, id } = &self.0.series;
        set.tick_lag_seconds.with_ref([id], |gauge| gauge.set(late.as_secs_f64()));
    }
}

impl Leave for PluginSeries {
    fn leave(&self) {
        macro_rules! remove {
            ($($family:ident)*) => { $(self.set.$family.remove_where("plugin_id", &self.id);)* };
        }
        remove! {
            plugin_evaluations_total plugin_latency_seconds plugin_circuit_state
            plugin_held_over_total plugin_cache_age_seconds plugin_override_active
            reject_short_circuited_total tick_skipped_total tick_requires_unsatisfied_total
            tick_lag_seconds
        }
    }
}
