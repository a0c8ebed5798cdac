//! State sets: which of some states something is in.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::sealed::{Handle, Sealed, Stage};
use super::series::Series;
use super::{Metric, MetricType, Plan};
use crate::cell::{Level, TooManyColumns};
use crate::label::LabelValue;

/// Which one of some states something is in, at first the first one.
///
/// Each state is a series, whose value is 1 for the one that is on and 0 for the others; the label
/// is named as the metric.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, label::LabelValue, registry::Registry};
///
/// #[derive(LabelValue)]
/// enum Phase { Starting, Serving, Draining }
///
/// let registry = Registry::new();
/// let phase = registry.state_set::<Phase>("phase", "What the worker does.").register()?;
/// phase.set(&Phase::Serving);
/// assert_eq!(
///     encode::openmetrics(&registry),
///     "# TYPE phase stateset\n# HELP phase What the worker does.\n\
///      phase{phase=\"starting\"} 0\nphase{phase=\"serving\"} 1\nphase{phase=\"draining\"} 0\n# EOF\n"
/// );
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
pub struct StateSet<S>(Arc<Series<Level>>, PhantomData<fn(S)>);

impl<S: LabelValue> StateSet<S> {
    /// Puts `state` on, and the one that was on off.
    ///
    /// # Cost
    /// One store.
    #[inline]
    pub fn set(&self, state: &S) {
        self.0.value.set(i64::try_from(state.index()).unwrap_or_default());
    }

    /// Whether `state` is on.
    #[must_use]
    pub fn is(&self, state: &S) -> bool {
        usize::try_from(self.0.value.get()) == Ok(state.index())
    }
}

impl<S> fmt::Debug for StateSet<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StateSet").field(&self.0).finish()
    }
}

impl<S> Clone for StateSet<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0), PhantomData)
    }
}

impl<S: LabelValue + 'static> Metric for StateSet<S> {}

impl<S: LabelValue + 'static> Handle for StateSet<S> {
    type Value = Level;

    fn of(series: Arc<Series<Level>>) -> Self {
        Self(series, PhantomData)
    }

    fn series(&self) -> &Arc<Series<Level>> {
        &self.0
    }
}

impl<S: LabelValue + 'static> Sealed for StateSet<S> {
    const TYPE: MetricType = MetricType::StateSet;
    const STATES: &'static [&'static str] = S::LABELS;

    fn lost() -> Self {
        Self::of(Series::alone(Level::default()))
    }

    fn make(_: &Plan) -> Result<Level, TooManyColumns> {
        Ok(Level::default())
    }

    fn show(series: &Series<Level>, at: &mut Stage<'_>) {
        // Whoever has no list of its values cannot be made a state set of.
        const { assert!(!S::LABELS.is_empty(), "a state set needs an enum that derives `LabelValue`") }
        let on = usize::try_from(series.value.get()).unwrap_or_default();
        for (i, state) in S::LABELS.iter().enumerate() {
            series.show_state((at.family, state), i == on, at.visitor);
        }
    }

    fn digest(series: &Series<Level>) -> u64 {
        series.value.touches()
    }
}
