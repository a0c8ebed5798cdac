//! Vectors: metrics that differ in labels, as Dynamo has them.

use std::fmt;

use crate::metric::Metric;
use crate::registry::OpenFamily;

/// Metrics of one name that differ in labels whose values are text.
///
/// A name holds a bounded number of such series (2 000 unless the registry says otherwise). Past
/// that, label values read `_overflow`.
///
/// # Examples
/// ```
/// use dynamo_metrics::dynamo::MetricsHierarchy;
/// use dynamo_metrics::registry::Registry;
///
/// let endpoint = Registry::new().component("backend").endpoint("generate");
/// let steps = endpoint.metrics().create_gaugevec("steps", "Steps.", &["model", "rank"], &[])?;
/// steps.with_label_values(&["m", "0"]).set(0.5);
/// assert_eq!(steps.with_label_values(&["m", "0"]).get(), 0.5);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
pub struct MetricVec<M: Metric>(pub(super) OpenFamily<M>);

impl<M: Metric> MetricVec<M> {
    /// The metric of these label values, in the order of the labels' names, made if it is new.
    ///
    /// If there are more or fewer of them than names, the metric is one that nobody sees; each such
    /// call is counted in `dynamo_metrics_invalid_samples_total`.
    ///
    /// # Cost
    /// A look-up without locks, and a reference count: look it up once where you can.
    #[must_use]
    pub fn with_label_values<V: AsRef<str>>(&self, values: &[V]) -> M {
        let found = self.get_metric_with_label_values(values);
        found.unwrap_or_else(|| self.0.misfit())
    }

    /// The same; `None` if there are more or fewer values than names.
    #[must_use]
    pub fn get_metric_with_label_values<V: AsRef<str>>(&self, values: &[V]) -> Option<M> {
        with(values, |values| self.0.with(values))
    }

    /// Removes the series of these label values; whether it was there. Handles that somebody holds
    /// record to a value that is not shown any more.
    pub fn remove_label_values<V: AsRef<str>>(&self, values: &[V]) -> bool {
        with(values, |values| self.0.remove(values))
    }
}

/// Few metrics have more labels than this.
const MOST: usize = 8;

/// Calls `seen` with the values as text, mostly without an allocation.
fn with<V: AsRef<str>, R>(values: &[V], seen: impl FnOnce(&[&str]) -> R) -> R {
    let mut texts = [""; MOST];
    match texts.get_mut(..values.len()) {
        Some(texts) => {
            for (text, value) in texts.iter_mut().zip(values) {
                *text = value.as_ref();
            }
            seen(texts)
        }
        None => seen(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>()),
    }
}

impl<M: Metric> Clone for MetricVec<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Metric> fmt::Debug for MetricVec<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MetricVec").field(&self.0).finish()
    }
}
