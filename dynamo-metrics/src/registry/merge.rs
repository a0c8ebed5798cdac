//! What sources said, put together: by family, among themselves and with ours.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::any::AnyFamily;
use super::index::{self, Families, SUFFIXES, base};
use super::source::{Answer, Asked, Source, Trouble};
use crate::metric::MetricKind;
use crate::metric::foreign::Family;
use crate::metric::visit::{self, Visitor};

/// A source with what it said.
pub(crate) type Told = (Arc<Asked>, Arc<Answer>);

/// Families that others keep, sorted by the names that OpenMetrics gives them.
#[derive(Debug, Default)]
pub(super) struct Merged(Vec<MergedFamily>);

/// A family, of one or more sources.
#[derive(Debug)]
pub(super) struct MergedFamily {
    base: String,
    parts: Vec<Part>,
}

/// A family as one source tells it.
#[derive(Debug)]
struct Part {
    told: Told,
    family: usize,
    /// Series that are not shown.
    left_out: Vec<usize>,
}

/// How far a walk along a merged family has come.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct At {
    part: usize,
    series: usize,
    /// Whether the visitor has seen the family itself.
    pub(super) announced: bool,
}

impl Merged {
    /// Puts together what can stand beside `own` and beside what was said before; the rest is counted
    /// as errors of its source.
    pub(super) fn new(own: &Families, told: Vec<Told>) -> Self {
        let mut merged = BTreeMap::new();
        for told in told {
            let Some(source) = told.0.source() else { continue };
            for (i, family) in told.1.families.iter().enumerate() {
                let part = Part { told: told.clone(), family: i, left_out: Vec::new() };
                if let Err(trouble) = add(&mut merged, own, part, family, source) {
                    source.count(trouble);
                }
            }
        }
        Self(merged.into_iter().map(|(base, parts)| MergedFamily { base, parts }).collect())
    }

    pub(super) fn get(&self, at: usize) -> Option<&MergedFamily> {
        self.0.get(at)
    }
}

/// Adds a family of a source, without those of its series that are there already.
fn add(
    merged: &mut BTreeMap<String, Vec<Part>>,
    own: &Families,
    mut part: Part,
    family: &Family,
    source: &Source,
) -> Result<(), Trouble> {
    let refused = |reason: &'static str, text: String| {
        let count = family.series.len() as u64;
        Err(Trouble { reason: reason.into(), count, text })
    };
    let (name, kind) = (&*family.name, family.kind);
    let bare = base(name, kind);
    let ours = index::find(own, bare).ok().map(|at| &own[at]);
    let others = merged.get(bare).map(Vec::as_slice).unwrap_or_default();
    let first = others.first().map(Part::family).map(|there| (&*there.name, there.kind));
    let ours_is = ours.map(|ours| (&*ours.head().name, ours.head().metric_type.kind()));
    for (there, other) in ours_is.into_iter().chain(first) {
        // A state set of ours tells of all states there are.
        if (there, other) != (name, kind) || (ours.is_some() && kind == MetricKind::StateSet) {
            return refused("kind", format!("{name} is a {kind} here, and {there} a {other}"));
        }
    }
    if ours.is_none() && others.is_empty() {
        let ours = index::clash(own, name, kind).map(|other| other.head().name.to_string());
        if let Some(other) = ours.or_else(|| clash(merged, bare, kind)) {
            return refused("clash", format!("samples of {name} look like those of {other}"));
        }
    }
    part.left_out = duplicates(ours, others, &part);
    if !part.left_out.is_empty() {
        source.count(Trouble {
            reason: "duplicate".into(),
            count: part.left_out.len() as u64,
            text: format!("series of {name} are there already"),
        });
    }
    merged.entry(bare.to_owned()).or_default().push(part);
    Ok(())
}

/// Series of `part` that are there already: among ours, among `others`, or before in `part`, since
/// the scope's labels may make one of two.
fn duplicates(ours: Option<&Arc<dyn AnyFamily>>, others: &[Part], part: &Part) -> Vec<usize> {
    let mut seen = Seen { hasher: RandomState::new(), by_hash: HashMap::new() };
    for other in others {
        for i in 0..other.family().series.len() {
            if !other.leaves_out(i) {
                seen.add(other.labels(i));
            }
        }
    }
    let known = |labels| ours.is_some_and(|ours| ours.has(labels));
    let mut is_new = |i| seen.add(part.labels(i)) && !known(part.labels(i));
    (0..part.family().series.len()).filter(|&i| !is_new(i)).collect()
}

/// Sets of labels.
struct Seen<'a> {
    hasher: RandomState,
    by_hash: HashMap<u64, Vec<visit::Labels<'a>>>,
}

impl<'a> Seen<'a> {
    /// Adds a set; whether it is new.
    fn add(&mut self, labels: visit::Labels<'a>) -> bool {
        let mut state = self.hasher.build_hasher();
        labels.iter().for_each(|pair| pair.hash(&mut state));
        let there = self.by_hash.entry(state.finish()).or_default();
        let is_new = !there.iter().any(|other| other.iter().eq(labels.iter()));
        if is_new {
            there.push(labels);
        }
        is_new
    }
}

/// The name of a merged family whose samples would be mixed up with those of this one.
fn clash(merged: &BTreeMap<String, Vec<Part>>, bare: &str, kind: MetricKind) -> Option<String> {
    let under = kind.suffixes().iter().map(|suffix| format!("{bare}{suffix}"));
    let under = under.into_iter().find(|name| merged.contains_key(name));
    under.or_else(|| {
        let over = SUFFIXES.iter().filter_map(|suffix| Some((bare.strip_suffix(suffix)?, suffix)));
        let mut over = over.filter(|(name, suffix)| {
            let there = merged.get(*name).and_then(|parts| parts.first());
            there.is_some_and(|there| there.family().kind.suffixes().contains(suffix))
        });
        over.next().map(|(name, _)| name.to_owned())
    })
}

impl Part {
    fn family(&self) -> &Family {
        &self.told.1.families[self.family]
    }

    /// Labels of the source's scope.
    fn scope(&self) -> &[(String, String)] {
        self.told.0.source().map(|source| &*source.labels).unwrap_or_default()
    }

    fn labels(&self, series: usize) -> visit::Labels<'_> {
        let own = self.family().series.get(series).map(|series| &*series.labels);
        visit::Labels::foreign(own.unwrap_or_default(), self.scope())
    }

    fn leaves_out(&self, series: usize) -> bool {
        self.left_out.binary_search(&series).is_ok()
    }
}

impl MergedFamily {
    /// Its name in OpenMetrics.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Its name, and its kind.
    pub(super) fn name(&self) -> (&str, MetricKind) {
        let first = self.parts.first().map(Part::family);
        first.map_or(("", MetricKind::Unknown), |first| (&first.name, first.kind))
    }

    /// Shows at most `most` series to `visitor`, the family first; returns how many, and whether they
    /// were the last.
    pub(super) fn step(
        &self,
        at: &mut At,
        most: usize,
        visitor: &mut dyn Visitor,
    ) -> (usize, bool) {
        let mut shown = 0;
        while let Some(part) = self.parts.get(at.part) {
            let family = part.family();
            while let Some(series) = family.series.get(at.series) {
                if shown == most {
                    return (shown, false);
                }
                at.series += 1;
                if part.leaves_out(at.series - 1) {
                    continue;
                }
                if !std::mem::replace(&mut at.announced, true) {
                    visitor.family(&visit::Family {
                        name: &family.name,
                        help: &family.help,
                        unit: family.unit.as_deref(),
                        kind: family.kind,
                    });
                }
                let labels = part.labels(at.series - 1);
                visitor.series(&visit::Series::foreign(family.kind, series, labels));
                shown += 1;
            }
            at.part += 1;
            at.series = 0;
        }
        (shown, true)
    }
}
