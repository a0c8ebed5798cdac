//! The walk: every family once, in the order of names, in steps of any size.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::any::Position;
use super::catalogue::MetricInfo;
use super::error::RegisterError;
use super::family::FamilyCore;
use super::index::{Families, Wanted, find};
use super::merge::{At, Merged, Told};
use super::node::Tree;
use super::own;
use super::scope::Scope;
use super::source::Asked;
use crate::clock;
use crate::metric::visit::Visitor;
use crate::metric::{Counter, HistogramSnapshot, MetricKind};
use crate::sync::with_maps;

/// A walk over a registry that can rest between series, so that a scrape need not hold a page.
///
/// The list of families is the one at the start, and so is the list of series of each family when it
/// is come to.
#[derive(Debug)]
pub(crate) struct Walk {
    families: Arc<Families>,
    family: usize,
    at: Option<Position>,
    /// Where to begin in families that others tell of too.
    begun: HashMap<usize, Position>,
    /// What others keep, beside ours.
    merged: Merged,
    other: usize,
    other_at: At,
    /// The family of ours is done, whose name the next one of others has too.
    is_joined: bool,
    scratch: HistogramSnapshot,
    /// Names of families or of samples; all families if there are none.
    only: HashSet<String>,
}

impl Walk {
    /// A walk over what there is, and what others told.
    pub(super) fn new(scope: &Scope, told: Vec<Told>) -> Self {
        let tree = &scope.tree;
        let now = clock::now();
        // What a thread that is ending cannot do and finds no other one for, the next walk does.
        with_maps(|| {
            for family in tree.index.load().iter() {
                family.expire(now);
            }
            expose_health(tree);
        });
        if !told.is_empty() {
            // What is wrong with what was told is told on the same page.
            let _ = own_family(tree, &own::COLLECT_ERRORS);
        }
        let families = tree.index.load();
        // Whether a series of others' is ours already is asked after ours were looked at.
        let mut begun = HashMap::new();
        for family in told.iter().flat_map(|(_, answer)| answer.families.iter()) {
            if let Ok(at) = find(&families, family.kind.base(&family.name)) {
                begun.entry(at).or_insert_with(|| families[at].begin());
            }
        }
        let merged = with_maps(|| {
            let merged = Merged::new(&families, told);
            expose_errors(tree);
            merged
        });
        // Their own family may be one of those, and is looked at when it is come to.
        if let Ok(at) = find(&families, MetricKind::Counter.base(own::COLLECT_ERRORS.name)) {
            begun.remove(&at);
        }
        let merged = merged.unwrap_or_default();
        Self {
            families,
            family: 0,
            at: None,
            begun,
            merged,
            other: 0,
            other_at: At::default(),
            is_joined: false,
            scratch: HistogramSnapshot::default(),
            only: HashSet::new(),
        }
    }

    /// Leaves out families that neither have one of these names nor a sample of it; with no names,
    /// none.
    pub(crate) fn only(self, names: HashSet<String>) -> Self {
        Self { only: names, ..self }
    }

    fn shows(&self, (name, kind): (&str, MetricKind)) -> bool {
        if self.only.is_empty() || self.only.contains(name) {
            return true;
        }
        let base = kind.base(name);
        let mut sample = base.to_owned();
        self.only.contains(base)
            || kind.suffixes().iter().any(|suffix| {
                sample.truncate(base.len());
                sample.push_str(suffix);
                self.only.contains(&sample)
            })
    }

    /// Shows at most `most` series to `visitor`; `false` if there are no more.
    pub(crate) fn step(&mut self, visitor: &mut dyn Visitor, most: usize) -> bool {
        let mut left = most;
        loop {
            let own = self.families.get(self.family).filter(|_| !self.is_joined);
            let other = self.merged.get(self.other);
            let order = match (own, other) {
                (None, None) => return false,
                (Some(own), Some(other)) => {
                    let head = own.head();
                    head.metric_type.kind().base(&head.name).cmp(other.base())
                }
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
            };
            if let Some(own) = own.filter(|_| order.is_le()) {
                let head = own.head();
                if self.at.is_some() || self.shows((&head.name, head.metric_type.kind())) {
                    let begun = self.begun.remove(&self.family);
                    let at = self.at.get_or_insert_with(|| begun.unwrap_or_else(|| own.begin()));
                    left -= own.step(at, left, &mut self.scratch, visitor);
                    if !at.is_at_end() {
                        return true;
                    }
                    self.other_at.announced = order.is_eq() && at.is_announced();
                    self.at = None;
                }
                self.is_joined = order.is_eq();
                self.family += usize::from(!self.is_joined);
            } else if let Some(other) = other {
                if self.shows(other.name()) {
                    let (shown, is_done) = other.step(&mut self.other_at, left, visitor);
                    left -= shown;
                    if !is_done {
                        return true;
                    }
                }
                self.other += 1;
                self.other_at = At::default();
                self.family += usize::from(std::mem::take(&mut self.is_joined));
            }
        }
    }
}

/// Runs the update callbacks.
pub(super) fn refresh(tree: &Tree, asked: &[Arc<Asked>]) {
    for asked in asked {
        asked.run_refresh(&tree.collect_errors);
    }
}

/// Asks those who answer at once.
pub(super) fn ask_now(asked: &[Arc<Asked>]) -> Vec<Told> {
    let answer = |asked: &Arc<Asked>| Some((Arc::clone(asked), Arc::new(asked.ask_now()?)));
    asked.iter().filter_map(answer).collect()
}

/// Shows what went wrong in the registry itself, once something did: counters that are kept where
/// they are counted, and attached here to the families of our own.
fn expose_health(tree: &Tree) {
    for family in tree.index.load().iter() {
        let health = &family.head().health;
        for (info, count) in [
            (&own::OVERFLOW, &health.overflow),
            (&own::INVALID, &health.invalid),
            (&own::HELP_CONFLICTS, &health.help_conflicts),
        ] {
            expose(tree, info, count);
        }
    }
    expose_errors(tree);
}

fn expose_errors(tree: &Tree) {
    tree.collect_errors.each(|count| expose(tree, &own::COLLECT_ERRORS, count));
}

fn expose(tree: &Tree, info: &MetricInfo, count: &Counter) {
    if count.get() == 0 {
        return;
    }
    // A user who took one of these names keeps it, and does without our counter.
    if let Ok(family) = own_family(tree, info) {
        family.attach_in_place(count);
    }
}

/// A family in which the registry tells of itself.
fn own_family(tree: &Tree, info: &MetricInfo) -> Result<Arc<FamilyCore<Counter>>, RegisterError> {
    let (root, MetricInfo { name, help, .. }) = (tree.root_labels(), *info);
    tree.index.family(&Wanted { name, help, unit: None, cap: u64::MAX, root: &root })
}
