//! The families of a page while it is read, whatever its format.

use std::collections::{HashMap, HashSet};

use super::check::{self, Labels};
use super::fault::{Faults, Flaw, Reason};
use super::point::{Point, Points};
use super::{Family, Limits, Parsed, Value, number};
use crate::metric::MetricKind;

/// The families and series that were read so far.
#[derive(Debug)]
pub(super) struct Book<'a> {
    pub(super) limits: &'a Limits,
    pub(super) faults: Faults,
    pub(super) points: Points,
    pub(super) drafts: Vec<Draft>,
    by_name: HashMap<String, usize>,
    /// Families by their names with `_` for `:`.
    by_escaped: HashMap<String, usize>,
}

/// A family, of which more may come.
#[derive(Debug)]
pub(super) struct Draft {
    /// The name as the page's format has it.
    pub(super) name: String,
    /// What is said of it; nothing means unknown.
    pub(super) kind: Option<MetricKind>,
    pub(super) help: Option<String>,
    pub(super) unit: Option<String>,
    /// A sample of it came.
    pub(super) sampled: bool,
    /// What its name has more as text 0.0.4 shows it.
    pub(super) suffix: &'static str,
}

impl<'a> Book<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
            faults: Faults::new(limits),
            points: Points::default(),
            drafts: Vec::new(),
            by_name: HashMap::new(),
            by_escaped: HashMap::new(),
        }
    }

    /// The family of this name, which is valid, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<(usize, &Draft)> {
        let at = *self.by_name.get(name)?;
        Some((at, self.drafts.get(at)?))
    }

    /// The family of this name with `_` for `:`, if it was told of.
    pub(super) fn find_escaped(&self, name: &str) -> Option<(usize, &Draft)> {
        let at = *self.by_escaped.get(name)?;
        Some((at, self.drafts.get(at)?))
    }

    /// Has samples found under this name with `_` for `:`, too.
    pub(super) fn escape(&mut self, name: &str, family: usize) {
        if name.contains(':') {
            self.by_escaped.entry(name.replace(':', "_")).or_insert(family);
        }
    }

    /// The family of this name, which is valid, made if it is not there.
    pub(super) fn family(&mut self, name: &str) -> Result<(usize, &mut Draft), Flaw> {
        const FULL: Flaw = Flaw::new(Reason::Limit, "too many families");
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None if self.drafts.len() >= self.limits.families => return Err(FULL),
            None => {
                self.by_name.insert(name.to_owned(), self.drafts.len());
                self.drafts.push(Draft {
                    name: name.to_owned(),
                    kind: None,
                    help: None,
                    unit: None,
                    sampled: false,
                    suffix: "",
                });
                self.drafts.len() - 1
            }
        };
        self.drafts.get_mut(at).map(|draft| (at, draft)).ok_or(FULL)
    }

    /// The series with these labels, which are checked one by one.
    pub(super) fn point(
        &mut self,
        (line, family): (Option<usize>, usize),
        mut labels: Labels,
    ) -> Result<&mut Point, Flaw> {
        check::label_set(&mut labels)?;
        self.points.entry((line, family), labels, self.limits.series)
    }

    /// Moves creation times that have a family of their own to the series that they are about, which
    /// is how Python writes them in text 0.0.4. A family with anything else in it stays.
    pub(super) fn fold_created(&mut self) {
        let by_family = self.points.by_family(self.drafts.len());
        for (draft, points) in self.drafts.iter().zip(&by_family) {
            let Some(base) = draft.name.strip_suffix("_created") else { continue };
            if !matches!(draft.kind, None | Some(MetricKind::Gauge | MetricKind::Unknown)) {
                continue;
            }
            let counter = self.find(&format!("{base}_total"));
            let counter = counter.filter(|(_, told)| told.kind == Some(MetricKind::Counter));
            let Some((target, told)) = counter.or_else(|| self.find(base)) else { continue };
            if !matches!(
                told.kind,
                Some(MetricKind::Counter | MetricKind::Histogram | MetricKind::Summary)
            ) {
                continue;
            }
            let times: Option<Vec<_>> = points.iter().map(|&at| self.created(at, target)).collect();
            for (about, created, own) in times.unwrap_or_default() {
                if let Some(point) = self.points.get_mut(about) {
                    point.created = Some(created);
                }
                if let Some(point) = self.points.get_mut(own) {
                    point.broken = true;
                }
            }
        }
    }

    /// Which series of `target` the time at `own` is about, the time, and where it is.
    fn created(&self, own: usize, target: usize) -> Option<(usize, f64, usize)> {
        let point = self.points.get(own)?;
        let about = self.points.find(target, &point.labels)?;
        let vacant = self.points.get(about).is_some_and(|point| point.created.is_none());
        match point.parts.whole {
            Some(Value::Number(time)) if number::is_count(time) && vacant => {
                Some((about, time, own))
            }
            _ => None,
        }
    }

    /// Puts together what came.
    pub(super) fn finish(self) -> Parsed {
        let Self { mut faults, points, drafts, .. } = self;
        let mut families: Vec<_> = drafts.into_iter().map(Draft::finish).collect();
        for point in points.into_all() {
            if let Some(family) = families.get_mut(point.family) {
                let series = point.finish(family.kind, &mut faults, &family.name);
                family.series.extend(series);
            }
        }
        families.retain(|family| !family.series.is_empty());
        families.iter_mut().for_each(Family::gather_states);
        // Two families of different names may still write lines of one name.
        let mut taken = HashSet::new();
        families.retain(|family| {
            let lines: Vec<_> = family.lines().collect();
            let free = lines.iter().all(|line| !taken.contains(line));
            if free {
                taken.extend(lines);
            } else {
                let flaw = Flaw::new(Reason::Duplicate, "another family has lines of this name");
                faults.tell(None, flaw, &family.name);
            }
            free
        });
        let (faults, totals) = faults.finish();
        Parsed { families, faults, totals }
    }
}

impl Draft {
    fn finish(self) -> Family {
        Family {
            name: self.name + self.suffix,
            kind: self.kind.unwrap_or(MetricKind::Unknown),
            help: self.help.unwrap_or_default(),
            unit: self.unit,
            series: Vec::new(),
        }
    }
}

impl Family {
    /// Puts series of a state set together that differ in their state alone: in OpenMetrics they are
    /// lines of one metric, which no other's may part.
    fn gather_states(&mut self) {
        if self.kind != MetricKind::StateSet {
            return;
        }
        let mut places = HashMap::new();
        self.series.sort_by_cached_key(|series| {
            let others = series.labels.iter().filter(|(name, _)| *name != self.name);
            let next = places.len();
            *places.entry(others.cloned().collect::<Labels>()).or_insert(next)
        });
    }

    /// The names that it, and lines of it, have in text 0.0.4.
    fn lines(&self) -> impl Iterator<Item = String> {
        let suffixes = match self.kind {
            MetricKind::Histogram | MetricKind::GaugeHistogram | MetricKind::Summary => {
                self.kind.suffixes()
            }
            // Theirs are in the family's own name there.
            _ => &[],
        };
        // Times of creation are not in that format.
        let suffixes = suffixes.iter().filter(|suffix| **suffix != "_created");
        [""].iter().chain(suffixes).map(|suffix| format!("{}{suffix}", self.name))
    }
}
