//! What all families are, whatever their metrics: what the index keeps, and what a walk goes along.

use std::any::Any;
use std::sync::Arc;

use super::family::FamilyCore;
use super::list::View;
use crate::clock::Instant;
use crate::label::{Labels, Template};
use crate::metric::visit::{self, Visitor};
use crate::metric::{self, Counter, HistogramSnapshot, Metric, MetricType, Series, Stage};
use crate::unit::Unit;

/// What a scrape says of a family before its series.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) name: Box<str>,
    pub(crate) help: Box<str>,
    pub(crate) unit: Option<Unit>,
    pub(crate) metric_type: MetricType,
    pub(crate) cap: u64,
    pub(crate) health: Health,
}

/// What went wrong with a family; each is exposed once it is not zero.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) overflow: Counter,
    pub(crate) invalid: Counter,
    pub(crate) help_conflicts: Counter,
}

/// A family of any type, as the index keeps it.
pub(crate) trait AnyFamily: std::fmt::Debug + Send + Sync {
    fn head(&self) -> &Head;

    /// Where a walk along the series begins.
    fn begin(&self) -> Position;

    /// Shows at most `most` series to `visitor`, the family first; returns how many. Histograms are
    /// read into `scratch`.
    fn step(
        &self,
        at: &mut Position,
        most: usize,
        scratch: &mut HistogramSnapshot,
        visitor: &mut dyn Visitor,
    ) -> usize;

    /// Removes what nobody recorded to for as long as it was to live.
    fn expire(&self, now: Instant);

    /// Whether a series of these labels is shown.
    fn has(&self, labels: visit::Labels<'_>) -> bool;

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

/// How far a walk along the series of a family has come.
#[derive(Debug)]
pub(crate) struct Position {
    view: Box<dyn Any + Send>,
    next: usize,
    end: usize,
    /// Whether the visitor has seen the family itself, which it does before the first series.
    announced: bool,
}

impl Position {
    /// Whether the visitor has seen the family.
    pub(super) fn is_announced(&self) -> bool {
        self.announced
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.next >= self.end
    }
}

impl<M: Metric> AnyFamily for FamilyCore<M> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn begin(&self) -> Position {
        let view = self.view();
        Position { end: view.len(), view: Box::new(view), next: 0, announced: false }
    }

    fn step(
        &self,
        at: &mut Position,
        most: usize,
        scratch: &mut HistogramSnapshot,
        visitor: &mut dyn Visitor,
    ) -> usize {
        let Some(view) = at.view.downcast_ref::<View<Series<M::Value>>>() else { return 0 };
        let mut shown = 0;
        while shown < most && at.next < at.end {
            let place = at.next;
            at.next += 1;
            view.with(place, |series| {
                if !std::mem::replace(&mut at.announced, true) {
                    visitor.family(&self.head.describe());
                }
                M::show(series, &mut Stage { family: &self.head.name, scratch, visitor });
                shown += 1;
            });
        }
        shown
    }

    fn expire(&self, now: Instant) {
        Self::expire(self, now);
    }

    fn has(&self, labels: visit::Labels<'_>) -> bool {
        let labels: Vec<_> = labels.iter().collect();
        let labels: Vec<_> = labels.iter().map(|(name, value)| (*name, &**value)).collect();
        self.find(&Arc::new(Template::new(&labels, &[])), &[], |_| ()).is_ok()
    }

    fn as_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl Head {
    pub(super) fn describe(&self) -> visit::Family<'_> {
        visit::Family {
            name: &self.name,
            help: &self.help,
            unit: self.unit.map(Unit::as_str),
            kind: self.metric_type.kind(),
        }
    }
}

impl Health {
    /// Counters of what went wrong with the family `name`, under the registry's own labels.
    pub(crate) fn new(name: &str, root: &[(&str, &str)]) -> Self {
        let labels = [root, &[("family", name)]].concat();
        let template = Arc::new(Template::new(&labels, &[]));
        let counter = || metric::counter(Labels::new(&template, &[]));
        Self { overflow: counter(), invalid: counter(), help_conflicts: counter() }
    }
}
