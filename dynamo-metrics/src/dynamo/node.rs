//! What a level has besides its metrics: callbacks, and other registries.

use std::sync::Arc;

use super::Result;
use crate::registry::{Registry, Scope};

/// The registry of one level of the hierarchy: callbacks, and other registries that are shown here.
///
/// A clone is the same one.
#[derive(Debug, Clone)]
pub struct MetricsRegistry(pub(super) Scope);

impl MetricsRegistry {
    /// A registry of its own, to be shown in others; metrics are made through
    /// [`metrics`](super::MetricsHierarchy::metrics).
    #[must_use]
    pub fn new() -> Self {
        Self((*Registry::new()).clone())
    }

    /// Runs `callback` before each gather of this level or one above, to refresh values that are
    /// cheap to read.
    ///
    /// Where it runs, and for how long, is told at
    /// [`Scope::add_update_callback`]. An error is logged, and counted in
    /// `dynamo_metrics_collect_errors_total{source="update_callback",reason="failed"}`; what was set
    /// before it stands.
    pub fn add_update_callback(&self, callback: Arc<dyn Fn() -> Result<()> + Send + Sync>) {
        self.0.add_fallible_update_callback(move || callback());
    }

    /// Asks `callback` for a page of metrics before each gather of this level or one above, in the
    /// Prometheus text format, or in OpenMetrics if it ends in `# EOF`.
    ///
    /// The page is read and checked; see [`Scope::add_expfmt_callback`]. An error is logged, and
    /// counted in `dynamo_metrics_collect_errors_total{source="expfmt_callback",reason="failed"}`.
    pub fn add_expfmt_callback(&self, callback: Arc<dyn Fn() -> Result<String> + Send + Sync>) {
        self.0.add_expfmt_callback(move || callback());
    }

    /// Shows another registry, or a level of it with all below, whenever this level or one above is
    /// gathered.
    ///
    /// Its labels are its own; those of this level are not added. Its callbacks and collectors are
    /// asked as this one's own are. It is shown once, however often and by however many ways it is
    /// added, itself included; a level of this very registry is shown where it is. Families of both
    /// are one; a series that is in both is this registry's. Whole numbers past 2⁵³ lose their last
    /// digits on the way.
    ///
    /// It stays for as long as this level does, and is kept alive by it; two that show each other keep
    /// each other.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::dynamo::{MetricsHierarchy, MetricsRegistry};
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let engine = MetricsRegistry::new();
    /// engine.metrics().create_intgauge("engine_steps", "Steps.", &[])?.set(3);
    ///
    /// let drt = Registry::new();
    /// drt.namespace("prod").get_metrics_registry().add_child_registry(&engine);
    /// let page = drt.metrics().prometheus_expfmt()?;
    /// assert!(page.ends_with("dynamo_component_engine_steps 3\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_child_registry(&self, child: &Self) {
        self.0.add_child(&child.0);
    }

    /// Whether a metric of this exposed name, prefix and all, has a series at this level; levels
    /// below do not count, nor what callbacks tell.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::dynamo::MetricsHierarchy;
    /// use dynamo_metrics::registry::Registry;
    ///
    /// let drt = Registry::new();
    /// drt.namespace("prod").metrics().create_intgauge("depth", "", &[])?;
    /// let has = |registry: &dyn MetricsHierarchy| {
    ///     registry.get_metrics_registry().has_metric_named("dynamo_component_depth")
    /// };
    /// assert!(has(&drt.namespace("prod")) && !has(&drt));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    #[must_use]
    pub fn has_metric_named(&self, name: &str) -> bool {
        self.0.has_here(name)
    }

    /// The text of this level and all below; what
    /// [`Metrics::prometheus_expfmt`](super::Metrics::prometheus_expfmt) gives.
    ///
    /// # Errors
    /// None.
    #[must_use]
    pub fn prometheus_expfmt_combined(&self) -> Result<String, std::convert::Infallible> {
        Ok(super::text(&self.0))
    }
}

impl Default for MetricsRegistry {
    fn default() -> Self {
        Self::new()
    }
}
