//! The walk: every family once, in the order of names, in steps of any size.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::any::{AnyFamily, Position};
use super::index::{Families, Wanted, base};
use super::node::Tree;
use super::scope::Scope;
use crate::clock;
use crate::metric::visit::Visitor;
use crate::metric::{Counter, HistogramSnapshot};
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
    scratch: HistogramSnapshot,
    /// Names of families or of samples; all families if there are none.
    only: Vec<String>,
}

impl Walk {
    pub(super) fn new(scope: &Scope) -> Self {
        let tree = &scope.tree;
        refresh(tree);
        let now = clock::now();
        // What a thread that is ending cannot do and finds no other one for, the next walk does.
        with_maps(|| {
            for family in tree.index.load().iter() {
                family.expire(now);
            }
            expose_health(tree);
        });
        let families = tree.index.load();
        let scratch = HistogramSnapshot::default();
        Self { families, family: 0, at: None, scratch, only: Vec::new() }
    }

    /// Leaves out families that neither have one of these names nor a sample of it; with no names,
    /// none.
    #[cfg(feature = "exporter")]
    pub(crate) fn only(self, names: Vec<String>) -> Self {
        Self { only: names, ..self }
    }

    fn shows(&self, family: &dyn AnyFamily) -> bool {
        let name = &*family.head().name;
        let kind = family.head().metric_type.kind();
        let base = base(name, kind);
        let is = |asked: &String| {
            asked == name
                || asked
                    .strip_prefix(base)
                    .is_some_and(|rest| rest.is_empty() || kind.suffixes().contains(&rest))
        };
        self.only.is_empty() || self.only.iter().any(is)
    }

    /// Shows at most `most` series to `visitor`; `false` if there are no more.
    pub(crate) fn step(&mut self, visitor: &mut dyn Visitor, most: usize) -> bool {
        let mut left = most;
        while let Some(family) = self.families.get(self.family) {
            if self.at.is_none() && !self.shows(&**family) {
                self.family += 1;
                continue;
            }
            let at = self.at.get_or_insert_with(|| family.begin());
            left -= family.step(at, left, &mut self.scratch, visitor);
            if !at.is_at_end() {
                return true;
            }
            self.family += 1;
            self.at = None;
        }
        false
    }
}

/// Runs the update callbacks.
fn refresh(tree: &Tree) {
    thread_local! {
        static REFRESHING: Cell<bool> = const { Cell::new(false) };
    }
    // A callback that gathers itself sees what there is.
    if REFRESHING.replace(true) {
        return;
    }
    tree.callbacks(|callback| {
        if catch_unwind(AssertUnwindSafe(&*callback.run)).is_err() {
            if tree.callback_panics.get() == 0 {
                tracing::error!("an update callback panicked; its values are not refreshed");
            }
            tree.callback_panics.inc();
        }
    });
    REFRESHING.set(false);
}

/// Shows what went wrong in the registry itself, once something did: counters that are kept where
/// they are counted, and attached here to the families of our own.
fn expose_health(tree: &Tree) {
    for family in tree.index.load().iter() {
        let health = &family.head().health;
        for (name, help, count) in [
            (
                "dynamo_metrics_series_overflow_total",
                "Look-ups whose label values became _overflow, past the family's cap.",
                &health.overflow,
            ),
            (
                "dynamo_metrics_invalid_samples_total",
                "Samples that were dropped: not a number, infinite, or negative.",
                &health.invalid,
            ),
            (
                "dynamo_metrics_help_conflicts_total",
                "Registrations whose help text differed from the first one's.",
                &health.help_conflicts,
            ),
        ] {
            expose(tree, name, help, count);
        }
    }
    let help = "Values that could not be collected.";
    expose(tree, "dynamo_metrics_collect_errors_total", help, &tree.callback_panics);
}

fn expose(tree: &Tree, name: &str, help: &str, count: &Counter) {
    if count.get() == 0 {
        return;
    }
    let wanted = Wanted { name, help, unit: None, cap: u64::MAX, root: &tree.root_labels() };
    // A user who took one of these names keeps it, and does without our counter.
    if let Ok(family) = tree.index.family::<Counter>(&wanted) {
        family.attach_in_place(count);
    }
}
