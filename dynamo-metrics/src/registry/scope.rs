//! Scopes: the nodes of the tree, and what they add to a metric.

use std::any::Any;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Deref;
use std::sync::Arc;

use super::builder::MetricBuilder;
use super::catalogue::{Listed, SetInfo};
use super::error::RegisterError;
use super::node::{Level, Node, Tree};
use super::own;
use super::source::{Asked, Failure};
use crate::label::{LabelValue, Vocabulary};
use crate::metric::{
    Buckets, Counter, FloatCounter, FloatGauge, Gauge, Histogram, Info, StateSet, Total,
    UpDownCounter,
};
use crate::name::{AUTOMATIC_LABELS, metric_name, prefixed, scope_value};
use crate::sync::with_maps;

/// The prefix of whatever is registered below the root.
const COMPONENT_PREFIX: &str = "dynamo_component";

/// A place in the tree: metrics registered here carry its labels and its prefix.
///
/// A scope is a cheap handle. Asking twice for one name gives one node of the tree, never a second.
///
/// # Examples
/// ```
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let chat = registry.namespace("prod").component("frontend").endpoint("chat");
/// chat.counter("requests_total", "Requests.").register()?.inc();
/// assert!(encode::text(&registry).ends_with(
///     "dynamo_component_requests_total{dynamo_component=\"frontend\",\
///      dynamo_endpoint=\"chat\",dynamo_namespace=\"prod\"} 1\n"
/// ));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Scope {
    pub(super) tree: Arc<Tree>,
    pub(super) node: Arc<Node>,
    /// `None` for the tree's own rule: no prefix at the root, `dynamo_component` below.
    prefix: Option<Arc<str>>,
    /// Buckets that histograms of sets have here, by their names.
    buckets: Option<Arc<[OtherBuckets]>>,
    /// Histograms of sets keep exemplars here, whatever the set says.
    pub(super) exemplars: bool,
}

/// What a histogram of a set is called, and its buckets.
type OtherBuckets = (Box<str>, Buckets);

/// Which place of which tree a scope is, with its prefix; it keeps neither alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    tree: u64,
    node: u64,
    prefix: Option<Arc<str>>,
}

impl Scope {
    pub(super) fn root(tree: Tree) -> Self {
        Self {
            tree: Arc::new(tree),
            node: Arc::new(Node::root()),
            prefix: None,
            buckets: None,
            exemplars: false,
        }
    }

    /// The namespace `name` below this scope; its label is `dynamo_namespace`.
    ///
    /// A namespace within a namespace joins it: `a` and then `b` read as `a_b`. The other levels
    /// do the same. Characters that are not letters, digits or `_` become `_`; an empty name changes
    /// nothing.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Self {
        self.child(Level::Namespace, name)
    }

    /// The component `name` below this scope; its label is `dynamo_component`.
    #[must_use]
    pub fn component(&self, name: &str) -> Self {
        self.child(Level::Component, name)
    }

    /// The endpoint `name` below this scope; its label is `dynamo_endpoint`.
    #[must_use]
    pub fn endpoint(&self, name: &str) -> Self {
        self.child(Level::Endpoint, name)
    }

    /// The same place with another prefix, which scopes below inherit; none if it is empty.
    ///
    /// The default is none at the root and `dynamo_component` below. It is bent into the grammar of
    /// names as a metric's name is, and joined by one `_`.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let planner = registry.namespace("prod").with_prefix("dynamo_planner");
    /// planner.gauge("num_decode_replicas", "Decode workers.").register()?.set(2);
    /// assert!(encode::text(&registry).contains("dynamo_planner_num_decode_replicas{"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    #[must_use]
    pub fn with_prefix(&self, prefix: &str) -> Self {
        // What cannot be bent into a name is no prefix.
        let prefix = metric_name(prefix.trim_end_matches('_')).unwrap_or_default();
        Self { prefix: Some(prefix.into()), ..self.clone() }
    }

    /// The same place, where the histogram `name` of a set that is registered has other buckets
    /// (default: those that the set gives it).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::metric::{Buckets, Histogram};
    /// use dynamo_metrics::registry::{MetricSet, Registry};
    ///
    /// #[derive(MetricSet)]
    /// struct Store {
    ///     /// Time that a read took.
    ///     #[metric(unit = seconds, buckets = [0.01, 0.1, 1])]
    ///     read_seconds: Histogram,
    /// }
    ///
    /// let registry = Registry::new();
    /// let slow = Buckets::new([1.0, 10.0, 60.0])?;
    /// let store = Store::register(&registry.with_buckets("read_seconds", slow))?;
    /// store.read_seconds.observe(5.0);
    /// assert_eq!(store.read_seconds.snapshot().counts(), [0, 1, 0, 0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_buckets(&self, name: &str, buckets: Buckets) -> Self {
        let others = self.buckets.iter().flat_map(|buckets| buckets.iter().cloned());
        let all = std::iter::once((name.into(), buckets)).chain(others).collect();
        Self { buckets: Some(all), ..self.clone() }
    }

    /// The same place, where the histograms of a set that is registered keep exemplars (default: those
    /// that the set says).
    #[must_use]
    pub fn with_exemplars(&self) -> Self {
        Self { exemplars: true, ..self.clone() }
    }

    /// The same, unless its buckets were said already.
    #[must_use]
    pub(crate) fn or_buckets(&self, name: &str, buckets: Buckets) -> Self {
        let others = self.buckets.iter().flat_map(|buckets| buckets.iter().cloned());
        let all = others.chain([(name.into(), buckets)]).collect();
        Self { buckets: Some(all), ..self.clone() }
    }

    /// What was said of the buckets of a set's histogram, the latest first.
    pub(super) fn buckets_of(&self, name: &str) -> Option<&Buckets> {
        let mut said = self.buckets.iter().flat_map(|buckets| buckets.iter());
        said.find(|(said, _)| **said == *name).map(|(_, buckets)| buckets)
    }

    /// A counter of whole steps; its name should end in `_total`.
    ///
    /// Of this name and all others: what a metric's name may not have becomes `_`, and the scope's
    /// prefix is put in front unless it is there already.
    pub fn counter(&self, name: &str, help: &str) -> MetricBuilder<Counter> {
        MetricBuilder::new(self, name, help)
    }

    /// A counter of steps that need not be whole; its name should end in `_total`.
    pub fn float_counter(&self, name: &str, help: &str) -> MetricBuilder<FloatCounter> {
        MetricBuilder::new(self, name, help)
    }

    /// A gauge of whole numbers.
    pub fn gauge(&self, name: &str, help: &str) -> MetricBuilder<Gauge> {
        MetricBuilder::new(self, name, help)
    }

    /// A gauge of any numbers.
    pub fn float_gauge(&self, name: &str, help: &str) -> MetricBuilder<FloatGauge> {
        MetricBuilder::new(self, name, help)
    }

    /// A gauge that goes up and down by steps: what is in flight, queued, open.
    pub fn up_down_counter(&self, name: &str, help: &str) -> MetricBuilder<UpDownCounter> {
        MetricBuilder::new(self, name, help)
    }

    /// A counter that somebody else counts, and whose total is told; its name should end in `_total`.
    pub fn total(&self, name: &str, help: &str) -> MetricBuilder<Total> {
        MetricBuilder::new(self, name, help)
    }

    /// A histogram.
    pub fn histogram(&self, name: &str, help: &str) -> MetricBuilder<Histogram> {
        MetricBuilder::new(self, name, help)
    }

    /// Facts, told by the labels that the builder is given; its name should end in `_info`.
    pub fn info(&self, name: &str, help: &str) -> MetricBuilder<Info> {
        MetricBuilder::new(self, name, help)
    }

    /// Which one of the states of `S` something is in.
    ///
    /// Its exposed name is a label of its series: it has no colon, and no other label has it.
    pub fn state_set<S: LabelValue + 'static>(
        &self,
        name: &str,
        help: &str,
    ) -> MetricBuilder<StateSet<S>> {
        MetricBuilder::new(self, name, help)
    }

    /// Runs `callback` before each gather, to refresh values that are cheap to read.
    ///
    /// [`Registry::gather`](super::Registry::gather) runs it where it is called; the exporter in a
    /// thread that may block, and goes on without it if it takes longer than the scrape may. It does
    /// not run twice at once. A panic is caught, counted in
    /// `dynamo_metrics_collect_errors_total{source="update_callback"}`, and costs nothing else. It
    /// stays for as long as the scope does.
    pub fn add_update_callback(&self, callback: impl Fn() + Send + Sync + 'static) {
        self.add_fallible_update_callback(move || {
            callback();
            Ok(())
        });
    }

    /// The same; what fails is counted with `reason="failed"`.
    pub(crate) fn add_fallible_update_callback(
        &self,
        callback: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
    ) {
        self.add_refresh("update_callback", callback);
    }

    /// The same, for a collector of ours: what goes wrong is counted with its name as `source`.
    pub(crate) fn add_refresh(
        &self,
        source: &'static str,
        callback: impl Fn() -> Result<(), Failure> + Send + Sync + 'static,
    ) {
        self.tree.add_asked(&self.node, &Asked::refresh(source, Box::new(callback)));
    }

    /// Exposes how often a value was too many for `values`, as
    /// `dynamo_metrics_label_overflow_total{label}`; it is counted at each gather.
    ///
    /// # Errors
    /// Any of [`RegisterError`], if the name is taken by something else.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use dynamo_metrics::{encode, label::Vocabulary, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let models = Arc::new(Vocabulary::of(["llama"]));
    /// registry.count_overflow("model", Arc::clone(&models))?;
    /// models.get("made-up");
    /// assert!(encode::text(&registry)
    ///     .ends_with("dynamo_metrics_label_overflow_total{label=\"model\"} 1\n"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn count_overflow<const N: usize>(
        &self,
        label: &str,
        values: impl Deref<Target = Vocabulary<N>> + Send + Sync + 'static,
    ) -> Result<(), RegisterError> {
        let overflow = self
            .with_prefix("dynamo_metrics")
            .counter(own::LABEL_OVERFLOW.name, own::LABEL_OVERFLOW.help)
            .label("label", label)
            .register()?;
        self.add_update_callback(move || overflow.inc_by(values.take_overflowed()));
        Ok(())
    }

    /// Removes the scope: all series that were registered in it or below it, whatever the prefix,
    /// its update callbacks, and the memory of both.
    ///
    /// Handles that are still there record to values that nobody sees. Whoever registers through
    /// this handle again gets [`RegisterError::ScopeRemoved`];
    /// whoever asks the scope above for the name gets a new, empty one. The root cannot go; all that
    /// is in it does.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let worker = registry.component("worker_7");
    /// worker.counter("jobs_total", "Jobs.").register()?.inc();
    /// worker.remove();
    /// assert_eq!(encode::text(&registry), "");
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    pub fn remove(&self) {
        with_maps(|| self.tree.remove(&self.node));
    }

    /// The same place with this prefix, unless it was given one: the prefix of a set whose users
    /// may choose another.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// registry.or_prefix("jobs").gauge("open", "Open jobs.").register()?.set(1);
    /// registry.with_prefix("batch").or_prefix("jobs").gauge("late", "").register()?.set(2);
    /// let text = encode::text(&registry);
    /// assert!(text.contains("jobs_open 1\n") && text.contains("batch_late 2\n"));
    /// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
    /// ```
    #[must_use]
    pub fn or_prefix(&self, prefix: &str) -> Self {
        if self.prefix.is_some() { self.clone() } else { self.with_prefix(prefix) }
    }

    /// Whether this is an endpoint's scope.
    #[must_use]
    pub fn is_endpoint(&self) -> bool {
        !self.node.names[Level::Endpoint as usize].is_empty()
    }

    /// Something that a floor above keeps at this place of the tree, for as long as the place is
    /// there; `None` if something of another type is.
    pub(crate) fn slot<T: Any + Default + Send + Sync>(&self) -> Option<&T> {
        self.node.slot.get_or_init(|| Box::new(T::default())).downcast_ref()
    }

    pub(crate) fn place(&self) -> Place {
        let (tree, node) = (self.tree.number, self.node.number());
        Place { tree, node, prefix: self.prefix.clone() }
    }

    /// Whether this is `place`; what was removed and made again is another one.
    #[inline]
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        (self.tree.number, self.node.number()) == (place.tree, place.node)
            && self.prefix == place.prefix
    }

    /// A number that tells this place, under this prefix, from others in the process.
    pub(crate) fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.tree.number, &self.node.names, &self.prefix).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }

    /// The place where a set registers its metrics when it is given this one; it is listed.
    pub(super) fn enter(&self, info: &'static SetInfo) -> Self {
        let scope = match info.prefix {
            Some(prefix) if info.prefix_is_fixed => self.with_prefix(prefix),
            Some(prefix) => self.or_prefix(prefix),
            None => self.clone(),
        };
        scope.tree.list_set(Listed::new(info, scope.prefix_here()));
        scope
    }

    /// Whether `self` and `other` are one place in one tree, with one prefix.
    #[cfg(test)]
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.node, &other.node) && self.prefix == other.prefix
    }

    /// The name under which `name` is exposed here.
    pub(super) fn exposed(&self, name: &str) -> String {
        prefixed(self.prefix_here(), name)
    }

    /// The prefix of what is registered here.
    fn prefix_here(&self) -> &str {
        let root = self.node.names.iter().all(|name| name.is_empty());
        match &self.prefix {
            Some(prefix) => prefix,
            None if root => "",
            None => COMPONENT_PREFIX,
        }
    }

    /// The labels that this scope adds.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.node.names.iter().map(|name| &**name);
        let worker_id = self.tree.worker_id.as_deref().unwrap_or_default();
        AUTOMATIC_LABELS
            .into_iter()
            .zip(names.chain([worker_id]))
            .map(|(name, value): (&str, &str)| (name, value))
            .filter(|(_, value)| !value.is_empty())
    }

    fn child(&self, level: Level, name: &str) -> Self {
        let name = scope_value(name);
        if name.is_empty() {
            return self.clone();
        }
        // Without a map to look into, it is a place that nobody else finds.
        let child = with_maps(|| self.tree.child(&self.node, level, &name));
        let node = child.unwrap_or_else(|| self.node.apart(level, &name));
        Self { node, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use crate::registry::Registry;

    #[test]
    fn one_name_is_one_node() {
        let registry = Registry::new();
        let first = registry.namespace("my-ns").component("c");
        let second = registry.namespace("my_ns").component("c");
        assert!(first.is(&second));
        assert!(!first.is(&second.endpoint("e")));
    }

    #[test]
    fn nested_namespaces_join_and_shift_nothing() {
        let registry = Registry::new();
        let endpoint = registry.namespace("a").namespace("b").component("c").endpoint("e");
        let labels: Vec<_> = endpoint.labels().collect();
        assert_eq!(
            labels,
            [("dynamo_namespace", "a_b"), ("dynamo_component", "c"), ("dynamo_endpoint", "e")]
        );
    }

    #[test]
    fn an_empty_name_changes_nothing() {
        let scope = Registry::new().namespace("a");
        assert!(scope.namespace("").is(&scope) && scope.endpoint("__").is(&scope));
        assert!(!scope.endpoint("").is_endpoint());
    }

    #[test]
    fn the_prefix_is_added_once() {
        let scope = Registry::new().namespace("n");
        assert_eq!(scope.exposed("x"), "dynamo_component_x");
        assert_eq!(scope.exposed("dynamo_component_x"), "dynamo_component_x");
        assert_eq!(scope.exposed("dynamo_componentx"), "dynamo_component_dynamo_componentx");
        assert_eq!(scope.with_prefix("kvbm").endpoint("e").exposed("x"), "kvbm_x");
        assert_eq!(scope.with_prefix("").exposed("x"), "x");
        assert_eq!(scope.with_prefix("my app_").exposed("x"), "my_app_x");
        assert_eq!(scope.with_prefix("a\n# b").exposed("x"), "a___b_x");
        assert_eq!(scope.with_prefix("!").exposed("x"), "x");
        assert_eq!(Registry::new().exposed("x"), "x");
    }
}
