//! What sources said, put together: by family, among themselves and with ours.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, Hash as _, Hasher as _, RandomState};
use std::sync::Arc;

use super::index::{self, Families};
use super::source::{Answer, Asked, Source, Trouble};
use crate::metric::foreign::Family;
use crate::metric::visit::{self, Visitor};
use crate::metric::{MetricKind, split_suffix};

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
    /// as errors of its source. Who is nearer to this process is heard first.
    pub(super) fn new(own: &Families, mut told: Vec<Told>) -> Self {
        told.sort_by_key(|(asked, _)| asked.source().map(Source::kind));
        let mut drafts = BTreeMap::new();
        for told in &told {
            let Some(source) = told.0.source() else { continue };
            for (i, family) in told.1.families.iter().enumerate() {
                if let Err(trouble) = add(&mut drafts, own, (told, i), family, source) {
                    source.count(trouble);
                }
            }
        }
        let families = drafts.into_iter().map(|(base, draft)| {
            let parts = draft.parts;
            MergedFamily { base, parts }
        });
        Self(families.collect())
    }

    pub(super) fn get(&self, at: usize) -> Option<&MergedFamily> {
        self.0.get(at)
    }
}

/// A family that is being put together.
#[derive(Default)]
struct Draft<'a> {
    parts: Vec<Part>,
    seen: Seen<'a>,
}

/// Sets of labels.
#[derive(Default)]
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

/// Adds a family of a source, without those of its series that are there already: among ours, among
/// others', or before in the same family, since the scope's labels may make one of two.
fn add<'a>(
    drafts: &mut BTreeMap<String, Draft<'a>>,
    own: &Families,
    (told, at): (&'a Told, usize),
    family: &'a Family,
    source: &'a Source,
) -> Result<(), Trouble> {
    let refused = |reason, text| Trouble { reason, count: family.series.len() as u64, text };
    let (name, kind) = (&*family.name, family.kind);
    let bare = kind.base(name);
    let ours = index::find(own, bare).ok().map(|at| &own[at]);
    let first = drafts.get(bare).and_then(|draft| draft.parts.first()).map(Part::family);
    let ours_is = ours.map(|ours| (&*ours.head().name, ours.head().metric_type.kind()));
    let first_is = first.map(|first| (&*first.name, first.kind));
    for (there, other) in ours_is.into_iter().chain(first_is) {
        // A state set of ours tells of all states there are.
        if (there, other) != (name, kind) || (ours.is_some() && kind == MetricKind::StateSet) {
            let text = format!("{name} is a {kind} here, and {there} a {other} elsewhere");
            return Err(refused("kind", text));
        }
    }
    if ours.is_none() && first.is_none() {
        let ours = index::clash(own, name, kind).map(|other| other.head().name.to_string());
        if let Some(other) = ours.or_else(|| clash(drafts, bare, kind)) {
            let text = format!("samples of {name} look like those of {other}");
            return Err(refused("clash", text));
        }
    }
    let draft = drafts.entry(bare.to_owned()).or_default();
    let mut is_new = |i: &usize| {
        let labels = visit::Labels::foreign(&family.series[*i].labels, &source.labels);
        draft.seen.add(labels) && !ours.is_some_and(|ours| ours.has(labels))
    };
    let left_out: Vec<_> = (0..family.series.len()).filter(|i| !is_new(i)).collect();
    let count = left_out.len() as u64;
    draft.parts.push(Part { told: told.clone(), family: at, left_out });
    if count > 0 {
        let text = format!("series of {name} are there already");
        source.count(Trouble { reason: "duplicate", count, text });
    }
    Ok(())
}

/// The name of a merged family whose samples would be mixed up with those of this one.
fn clash(merged: &BTreeMap<String, Draft<'_>>, bare: &str, kind: MetricKind) -> Option<String> {
    let under = kind.suffixes().iter().map(|suffix| format!("{bare}{suffix}"));
    let under = under.into_iter().find(|name| merged.contains_key(name));
    under.or_else(|| {
        let (over, suffix) = split_suffix(bare)?;
        let there = merged.get(over).and_then(|draft| draft.parts.first())?;
        there.family().kind.suffixes().contains(&suffix).then(|| over.to_owned())
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
