//! The series of a page while it is read: lines of one series come together here.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::check::{self, Labels};
use super::fault::{Faults, Flaw, Reason};
use super::{Exemplar, Series, Value};
use crate::metric::MetricKind;

/// A series that may miss some of its parts.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) family: usize,
    pub(super) line: Option<usize>,
    pub(super) labels: Labels,
    pub(super) parts: Parts,
    pub(super) created: Option<f64>,
    pub(super) exemplars: Vec<Exemplar>,
    /// Something of it is wrong, which is told already; it is left out.
    pub(super) broken: bool,
    /// The next one whose labels have the same hash.
    next: Option<usize>,
}

/// The value of a series, as far as it came.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// A number, or what came as a whole.
    pub(super) whole: Option<Value>,
    /// Buckets or quantiles.
    pub(super) bounds: Vec<(f64, f64)>,
    pub(super) sum: Option<f64>,
    pub(super) count: Option<f64>,
}

/// All series of a page, found by their labels.
#[derive(Debug, Default)]
pub(super) struct Points {
    all: Vec<Point>,
    first: HashMap<u64, usize>,
    state: RandomState,
    /// Where the last one was: lines of one series mostly follow each other.
    last: usize,
}

impl Points {
    /// The series with these labels, if it is there.
    pub(super) fn find(&self, family: usize, labels: &Labels) -> Option<usize> {
        let is = |point: &Point| point.family == family && point.labels == *labels;
        if self.all.get(self.last).is_some_and(is) {
            return Some(self.last);
        }
        let mut at = self.first.get(&self.state.hash_one((family, labels))).copied();
        while let Some(point) = at {
            let found = self.all.get(point)?;
            if is(found) {
                return at;
            }
            at = found.next;
        }
        None
    }

    /// The series with these labels, made if there are less than so many.
    pub(super) fn entry(
        &mut self,
        (line, family): (Option<usize>, usize),
        labels: Labels,
        most: usize,
    ) -> Result<&mut Point, Flaw> {
        const FULL: Flaw = Flaw::new(Reason::Limit, "too many series");
        let at = match self.find(family, &labels) {
            Some(at) => at,
            None if self.all.len() >= most => return Err(FULL),
            None => {
                let hash = self.state.hash_one((family, &labels));
                let at = self.all.len();
                let next = self.first.insert(hash, at);
                let (parts, exemplars) = (Parts::default(), Vec::new());
                let (created, broken) = (None, false);
                self.all.push(Point {
                    family,
                    line,
                    labels,
                    parts,
                    created,
                    exemplars,
                    broken,
                    next,
                });
                at
            }
        };
        self.last = at;
        self.all.get_mut(at).ok_or(FULL)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Point> {
        self.all.get(at)
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Point> {
        self.all.get_mut(at)
    }

    /// Where the series of each of so many families are.
    pub(super) fn by_family(&self, families: usize) -> Vec<Vec<usize>> {
        let mut by_family = vec![Vec::new(); families];
        for (at, point) in self.all.iter().enumerate() {
            if let Some(points) = by_family.get_mut(point.family) {
                points.push(at);
            }
        }
        by_family
    }

    /// All of them, in the order of the page.
    pub(super) fn into_all(self) -> Vec<Point> {
        self.all
    }
}

impl Point {
    /// Puts its parts together, if there is something to it and it makes sense.
    pub(super) fn finish(
        mut self,
        kind: MetricKind,
        faults: &mut Faults,
        about: &str,
    ) -> Option<Series> {
        if self.broken {
            return None;
        }
        let parts = std::mem::take(&mut self.parts);
        let line = self.line;
        match parts.finish(kind, |flaw| faults.tell(line, flaw, about)) {
            Ok(value) => Some(Series {
                labels: self.labels,
                value,
                created: self.created,
                exemplars: self.exemplars,
            }),
            Err(flaw) => {
                faults.tell(line, flaw, about);
                None
            }
        }
    }
}

impl Parts {
    fn finish(mut self, kind: MetricKind, mut tell: impl FnMut(Flaw)) -> Result<Value, Flaw> {
        if let Some(whole) = self.whole {
            return Ok(whole);
        }
        if check::remove_repeated(&mut self.bounds) {
            tell(Flaw::new(Reason::Duplicate, "a bound is there twice"));
        }
        match kind {
            MetricKind::Histogram | MetricKind::GaugeHistogram => {
                check::histogram(self.bounds, self.sum, self.count, None).map(Value::Histogram)
            }
            MetricKind::Summary if self.bounds.is_empty() && self.sum.or(self.count).is_none() => {
                Err(Flaw::new(Reason::Summary, "the summary has no value"))
            }
            MetricKind::Summary => {
                check::summary(self.bounds, self.sum, self.count).map(Value::Summary)
            }
            _ => Err(Flaw::new(Reason::Value, "a creation without a value")),
        }
    }
}
