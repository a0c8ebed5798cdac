//! What makes metrics at a level.

use std::convert::Infallible;

use super::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, MetricVec,
};
use crate::metric::Metric;
use crate::registry::{MetricBuilder, RegisterError, Scope};

/// Makes metrics at one level of the hierarchy.
///
/// All functions bend names as Dynamo does, add the labels of the level, and fail with
/// [`RegisterError`]: the name or a label is invalid, is one that the level adds by itself, stands
/// twice, or is taken by a metric of another kind.
#[derive(Debug, Clone)]
pub struct Metrics(pub(super) Scope);

/// What a vector is made of.
struct Vector<'a> {
    names: &'a [&'a str],
    constants: &'a [(&'a str, &'a str)],
}

impl Vector<'_> {
    fn register<M: Metric>(
        &self,
        builder: MetricBuilder<M>,
    ) -> Result<MetricVec<M>, RegisterError> {
        builder.labels(self.constants).open_family(self.names).map(MetricVec)
    }
}

impl Metrics {
    /// A counter of any steps, with these labels.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn create_counter(
        &self,
        name: &str,
        description: &str,
        labels: &[(&str, &str)],
    ) -> Result<Counter, RegisterError> {
        self.0.float_counter(name, description).labels(labels).register()
    }

    /// A counter of whole steps, with these labels.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn create_intcounter(
        &self,
        name: &str,
        description: &str,
        labels: &[(&str, &str)],
    ) -> Result<IntCounter, RegisterError> {
        self.0.counter(name, description).labels(labels).register()
    }

    /// A gauge of any numbers, with these labels.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn create_gauge(
        &self,
        name: &str,
        description: &str,
        labels: &[(&str, &str)],
    ) -> Result<Gauge, RegisterError> {
        self.0.float_gauge(name, description).labels(labels).register()
    }

    /// A gauge of whole numbers, with these labels.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn create_intgauge(
        &self,
        name: &str,
        description: &str,
        labels: &[(&str, &str)],
    ) -> Result<IntGauge, RegisterError> {
        self.0.gauge(name, description).labels(labels).register()
    }

    /// A histogram with these labels and buckets; 5 ms to 10 s if there are none.
    ///
    /// # Errors
    /// Any of [`RegisterError`].
    pub fn create_histogram(
        &self,
        name: &str,
        description: &str,
        labels: &[(&str, &str)],
        buckets: Option<Vec<f64>>,
    ) -> Result<Histogram, RegisterError> {
        self.bucketed(name, description, buckets).labels(labels).register()
    }

    /// Counters of any steps, which differ in the labels that `const_labels` names, as Dynamo calls
    /// them; `const_label_values` are those that do not change.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if `const_labels` is empty.
    pub fn create_countervec(
        &self,
        name: &str,
        description: &str,
        const_labels: &[&str],
        const_label_values: &[(&str, &str)],
    ) -> Result<CounterVec, RegisterError> {
        let vector = Vector { names: const_labels, constants: const_label_values };
        vector.register(self.0.float_counter(name, description))
    }

    /// Counters of whole steps, which differ in the labels that `const_labels` names.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if `const_labels` is empty.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::dynamo::MetricsHierarchy;
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let drt = Registry::new();
    /// let loads = drt.metrics().create_intcountervec("loads", "", &["device"], &[("kind", "gpu")])?;
    /// loads.with_label_values(&["0"]).inc();
    /// let page = drt.metrics().prometheus_expfmt()?;
    /// assert!(page.ends_with("dynamo_component_loads{device=\"0\",kind=\"gpu\"} 1\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_intcountervec(
        &self,
        name: &str,
        description: &str,
        const_labels: &[&str],
        const_label_values: &[(&str, &str)],
    ) -> Result<IntCounterVec, RegisterError> {
        let vector = Vector { names: const_labels, constants: const_label_values };
        vector.register(self.0.counter(name, description))
    }

    /// Gauges of any numbers, which differ in the labels that `const_labels` names.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if `const_labels` is empty.
    pub fn create_gaugevec(
        &self,
        name: &str,
        description: &str,
        const_labels: &[&str],
        const_label_values: &[(&str, &str)],
    ) -> Result<GaugeVec, RegisterError> {
        let vector = Vector { names: const_labels, constants: const_label_values };
        vector.register(self.0.float_gauge(name, description))
    }

    /// Gauges of whole numbers, which differ in the labels that `const_labels` names.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if `const_labels` is empty.
    pub fn create_intgaugevec(
        &self,
        name: &str,
        description: &str,
        const_labels: &[&str],
        const_label_values: &[(&str, &str)],
    ) -> Result<IntGaugeVec, RegisterError> {
        let vector = Vector { names: const_labels, constants: const_label_values };
        vector.register(self.0.gauge(name, description))
    }

    /// Histograms, which differ in the labels that `const_labels` names.
    ///
    /// # Errors
    /// Any of [`RegisterError`]; [`RegisterError::NoLabels`] if `const_labels` is empty.
    pub fn create_histogramvec(
        &self,
        name: &str,
        description: &str,
        const_labels: &[&str],
        const_label_values: &[(&str, &str)],
        buckets: Option<Vec<f64>>,
    ) -> Result<HistogramVec, RegisterError> {
        let vector = Vector { names: const_labels, constants: const_label_values };
        vector.register(self.bucketed(name, description, buckets))
    }

    /// The text of this level and all below, in the Prometheus text format.
    ///
    /// The callbacks of this level and those below run first, and no others. Series belong to a
    /// level by the labels that levels give them: places whose labels are the same are one
    /// (namespace `b` within `a`, and namespace `a_b`).
    ///
    /// # Errors
    /// None; what Dynamo's callers handle here cannot fail.
    ///
    /// # Cost
    /// A walk over all series of the registry.
    #[must_use]
    pub fn prometheus_expfmt(&self) -> Result<String, Infallible> {
        Ok(super::text(&self.0))
    }

    fn bucketed(
        &self,
        name: &str,
        description: &str,
        buckets: Option<Vec<f64>>,
    ) -> MetricBuilder<Histogram> {
        let builder = self.0.histogram(name, description);
        match buckets {
            Some(buckets) => builder.buckets(buckets),
            None => builder,
        }
    }
}
