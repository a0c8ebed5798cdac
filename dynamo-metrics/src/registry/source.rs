//! What has to be asked before a gather: callbacks that refresh values of ours, and sources, which
//! tell values that somebody else keeps.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
#[cfg(feature = "exporter")]
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
#[cfg(feature = "exporter")]
use std::time::Duration;

#[cfg(feature = "exporter")]
use super::Registry;
use super::errors::Errors;
use super::node::{Node, Tree};
use super::scope::Scope;
use crate::causes::whole;
use crate::metric::foreign::{Family, Series};
#[cfg(feature = "exporter")]
use crate::name::{AUTOMATIC_LABELS, scope_value};

/// A callback or a source, for as long as its node is there.
pub(crate) struct Asked {
    pub(super) what: What,
    /// Somebody is asking just now.
    busy: Mutex<bool>,
    free: Condvar,
    /// Where in the tree's list it is.
    pub(super) place: AtomicUsize,
}

pub(super) enum What {
    /// Refreshes values of ours; by whom its errors are counted.
    Refresh(&'static str, Box<Refresh>),
    Source(Source),
}

/// What went wrong in somebody else's code, for people.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Refreshes values of ours.
pub(super) type Refresh = dyn Fn() -> Result<(), Failure> + Send + Sync;

/// Tells values that somebody else keeps.
pub(crate) struct Source {
    kind: SourceKind,
    /// Labels of its scope, sorted.
    pub(super) labels: Vec<(String, String)>,
    same_label: SameLabel,
    ask: Ask,
    /// The place of another registry whose values these are.
    child: Option<Scope>,
    errors: Arc<Errors>,
}

/// Whether one waits for somebody who is at it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Now,
    Waited,
}

thread_local! {
    /// Whether this thread is asking somebody.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// What sort of source it is; who comes first is believed where two disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SourceKind {
    Collector,
    #[cfg(feature = "exporter")]
    AsyncCollector,
    ExpfmtCallback,
    ChildRegistry,
    #[cfg(feature = "prometheus-client")]
    PrometheusClient,
    #[cfg(feature = "exporter")]
    Backend,
    #[cfg(feature = "exporter")]
    Push,
}

/// How a source is asked.
pub(crate) enum Ask {
    /// At once; it may block for as long as it likes.
    Now(Box<dyn Fn() -> Answer + Send + Sync>),
    /// At once, from memory.
    #[cfg(feature = "exporter")]
    Kept(Box<dyn Fn() -> Answer + Send + Sync>),
    /// By a future that runs in tokio; it is told how long it is waited for.
    #[cfg(feature = "exporter")]
    Later(Box<dyn Fn(Duration) -> Later + Send + Sync>),
}

/// An answer that has to be waited for.
#[cfg(feature = "exporter")]
pub(crate) type Later = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What becomes of a label that both the source and its scope have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameLabel {
    /// The source's counts.
    Theirs,
    /// The scope's counts, and the source's is called `exported_..`, as Prometheus does it.
    Renamed,
}

/// What a source said.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Families with valid names, and series of which no two are the same.
    pub(crate) families: Arc<Vec<Family>>,
    pub(crate) troubles: Vec<Trouble>,
}

/// Something wrong with what a source said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What sort of trouble it is: a label of its count.
    pub(crate) reason: &'static str,
    pub(crate) count: u64,
    /// The first of it, for people.
    pub(crate) text: String,
}

/// A collector, which goes when its scope does, or before that by [`remove`](Self::remove).
#[derive(Debug, Clone, Default)]
pub struct CollectorHandle {
    tree: Weak<Tree>,
    node: Weak<Node>,
    asked: Weak<Asked>,
}

impl Asked {
    fn new(what: What) -> Arc<Self> {
        let (busy, free, place) = (Mutex::new(false), Condvar::new(), AtomicUsize::new(0));
        Arc::new(Self { what, busy, free, place })
    }

    pub(super) fn refresh(name: &'static str, run: Box<Refresh>) -> Arc<Self> {
        Self::new(What::Refresh(name, run))
    }

    /// Runs `run`, once whoever is at it has done; at once or not at all, if that may not be waited
    /// for, or if this thread is asking somebody already, who may wait for this one. `None` if it was
    /// not run, and the panic's message if it panics.
    fn run<T>(&self, turn: Turn, run: impl FnOnce() -> T) -> Option<Result<T, String>> {
        let is_within = ASKING.try_with(Cell::get).unwrap_or(true);
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            if turn == Turn::Now || is_within {
                return None;
            }
            busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy = true;
        drop(busy);
        let _ = ASKING.try_with(|asking| asking.set(true));
        let result = catch_unwind(AssertUnwindSafe(run));
        let _ = ASKING.try_with(|asking| asking.set(is_within));
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.free.notify_one();
        Some(result.map_err(|panic| message(&*panic)))
    }

    /// Runs an update callback, unless somebody is at it already.
    pub(super) fn run_refresh(&self, errors: &Errors) {
        let What::Refresh(name, run) = &self.what else { return };
        let (reason, text) = match self.run(Turn::Now, run) {
            None | Some(Ok(Ok(()))) => return,
            Some(Ok(Err(error))) => ("failed", whole(&*error)),
            Some(Err(panic)) => ("panic", panic),
        };
        errors.count(name, &[], Trouble { reason, count: 1, text });
    }

    pub(crate) fn source(&self) -> Option<&Source> {
        match &self.what {
            What::Source(source) => Some(source),
            What::Refresh(..) => None,
        }
    }

    /// The place of another registry that is shown here.
    pub(super) fn child(&self) -> Option<&Scope> {
        self.source()?.child.as_ref()
    }

    /// Asks a source that answers at once; `None` if it is none, or if it is asked within its own
    /// answer.
    pub(crate) fn ask_now(&self) -> Option<Answer> {
        let source = self.source()?;
        let answer = match &source.ask {
            Ask::Now(ask) => self.run(Turn::Waited, ask)?,
            #[cfg(feature = "exporter")]
            Ask::Kept(ask) => Ok(ask()),
            #[cfg(feature = "exporter")]
            Ask::Later(_) => return None,
        };
        Some(source.hear(answer.unwrap_or_else(|panic| Answer::trouble("panic", panic))))
    }

    /// Asks a source whose answer has to be waited for; `None` if it is none.
    #[cfg(feature = "exporter")]
    pub(crate) fn ask_later(&self, patience: Duration) -> Option<Later> {
        match &self.source()?.ask {
            Ask::Later(ask) => {
                Some(catch_unwind(AssertUnwindSafe(|| ask(patience))).unwrap_or_else(|panic| {
                    let answer = Answer::trouble("panic", message(&*panic));
                    Box::pin(std::future::ready(answer))
                }))
            }
            Ask::Now(_) | Ask::Kept(_) => None,
        }
    }

    /// Whether it is a source whose answer has to be waited for.
    #[cfg(feature = "exporter")]
    pub(crate) fn is_later(&self) -> bool {
        self.source().is_some_and(|source| matches!(source.ask, Ask::Later(_)))
    }

    /// Whether it is a source that answers from memory.
    #[cfg(feature = "exporter")]
    pub(crate) fn is_kept(&self) -> bool {
        self.source().is_some_and(|source| matches!(source.ask, Ask::Kept(_)))
    }
}

impl Source {
    /// Takes an answer: what is wrong with it is counted, and told once for each reason.
    pub(crate) fn hear(&self, mut answer: Answer) -> Answer {
        for trouble in answer.troubles.drain(..) {
            self.count(trouble);
        }
        let of = |families: &[Family]| {
            let mut series = families.iter().flat_map(|family| &family.series);
            series.any(|series| self.shares_label(series))
        };
        if self.same_label == SameLabel::Renamed && of(&answer.families) {
            let families = Arc::make_mut(&mut answer.families).iter_mut();
            families.flat_map(|family| &mut family.series).for_each(|series| self.rename(series));
        }
        answer
    }

    /// Counts what went wrong.
    pub(crate) fn count(&self, trouble: Trouble) {
        self.errors.count(self.kind.as_str(), &self.labels, trouble);
    }

    pub(crate) fn kind(&self) -> SourceKind {
        self.kind
    }

    /// Whether a label is the scope's too.
    fn is_ours(&self, name: &str) -> bool {
        self.labels.iter().any(|(own, _)| own == name)
    }

    fn shares_label(&self, series: &Series) -> bool {
        series.labels.iter().any(|(name, _)| self.is_ours(name))
    }

    /// Renames labels that the scope has too.
    fn rename(&self, series: &mut Series) {
        if !self.shares_label(series) {
            return;
        }
        for at in 0..series.labels.len() {
            let mut name = series.labels[at].0.clone();
            while self.is_ours(&name)
                || series.labels.iter().enumerate().any(|(i, (other, _))| i != at && *other == name)
            {
                name.insert_str(0, "exported_");
            }
            series.labels[at].0 = name;
        }
        series.labels.sort_unstable();
    }
}

impl Answer {
    /// Nothing but this.
    pub(crate) fn trouble(reason: &'static str, text: impl Into<String>) -> Self {
        let trouble = Trouble { reason, count: 1, text: text.into() };
        Self { families: Arc::default(), troubles: vec![trouble] }
    }
}

impl SourceKind {
    /// The kind as the label of its errors.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            #[cfg(feature = "exporter")]
            Self::AsyncCollector => "async_collector",
            Self::ExpfmtCallback => "expfmt_callback",
            Self::ChildRegistry => "child_registry",
            #[cfg(feature = "prometheus-client")]
            Self::PrometheusClient => "prometheus_client",
            #[cfg(feature = "exporter")]
            Self::Backend => "backend",
            #[cfg(feature = "exporter")]
            Self::Push => "push",
        }
    }
}

impl Scope {
    /// Asks `ask` before each gather, until the scope is removed; `None` if it is already.
    pub(crate) fn add_source(
        &self,
        kind: SourceKind,
        same_label: SameLabel,
        ask: Ask,
    ) -> Option<CollectorHandle> {
        self.add_source_with(kind, self.owned_labels(), same_label, ask, None)
    }

    /// Counts that somebody who asks by himself could not collect a value; what `labels` are of is told
    /// in the log, once for each reason.
    #[cfg(feature = "gpu")]
    pub(crate) fn count_collect_error(
        &self,
        source: &'static str,
        labels: &[(String, String)],
        trouble: Trouble,
    ) {
        self.tree.collect_errors.count(source, labels, trouble);
    }

    /// The labels that this scope adds.
    fn owned_labels(&self) -> Vec<(String, String)> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.labels().map(own).collect()
    }

    /// The same, with these labels; `child` is whose values they are.
    pub(super) fn add_source_with(
        &self,
        kind: SourceKind,
        mut labels: Vec<(String, String)>,
        same_label: SameLabel,
        ask: Ask,
        child: Option<Scope>,
    ) -> Option<CollectorHandle> {
        labels.sort_unstable();
        let errors = Arc::clone(&self.tree.collect_errors);
        let source = Source { kind, labels, same_label, ask, child, errors };
        let asked = Asked::new(What::Source(source));
        self.tree.add_asked(&self.node, &asked).then(|| CollectorHandle {
            tree: Arc::downgrade(&self.tree),
            node: Arc::downgrade(&self.node),
            asked: Arc::downgrade(&asked),
        })
    }
}

#[cfg(feature = "exporter")]
impl Registry {
    /// Asks `ask` before each gather, under the labels of a namespace, which may be nested, a component
    /// and an endpoint, from the end on as many as there are. Unlike the scope of these names it
    /// leaves nothing behind.
    pub(crate) fn add_source_for(
        &self,
        names: &[&str],
        kind: SourceKind,
        same_label: SameLabel,
        ask: Ask,
    ) -> CollectorHandle {
        let values: Vec<_> = names.iter().map(|name| scope_value(name)).collect();
        let (namespaces, lower) = values.split_at(values.len().saturating_sub(2).max(1));
        let lower = lower.iter().cloned().chain([String::new(), String::new()]);
        let levels = [namespaces.join("_")].into_iter().chain(lower);
        let mut labels = self.owned_labels();
        let levels = AUTOMATIC_LABELS.into_iter().map(str::to_owned).zip(levels);
        labels.extend(levels.filter(|(_, value)| !value.is_empty()));
        self.add_source_with(kind, labels, same_label, ask, None).unwrap_or_default()
    }
}

impl CollectorHandle {
    /// Asks it no longer.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{encode, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let pool = registry.add_collector(|collected| {
    ///     collected.gauge("pool_size", "Connections.", &[], 3.0);
    ///     Ok::<(), std::io::Error>(())
    /// });
    /// assert!(encode::text(&registry).contains("pool_size 3"));
    /// pool.remove();
    /// assert_eq!(encode::text(&registry), "");
    /// ```
    pub fn remove(&self) {
        let (tree, node) = (self.tree.upgrade(), self.node.upgrade());
        if let (Some(tree), Some(node), Some(asked)) = (tree, node, self.asked.upgrade()) {
            tree.remove_asked(&node, &asked);
        }
    }
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked")
            .field("source", &self.source().map(|source| source.kind))
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
