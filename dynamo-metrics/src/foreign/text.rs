//! The two text formats: lines, and which family and series each is of.

use super::book::{Book, Draft};
use super::check;
use super::fault::{Flaw, Reason};
use super::line::{self, Line, Sample};
use super::{Limits, Parsed, Value, number};
use crate::metric::{MetricKind, split_suffix};

/// Which of the two text formats a page is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics, 1.0.
    OpenMetrics,
}

/// What a line says of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Value,
    Bucket,
    Quantile,
    Sum,
    Count,
    Created,
}

/// A page, from where it has been read to.
struct Page<'a> {
    book: Book<'a>,
    dialect: Dialect,
    line: usize,
    /// The family that the last line was of.
    current: Option<usize>,
    /// That lines end with CR was told.
    cr_told: bool,
}

/// Reads a page.
pub(super) fn read(page: &[u8], dialect: Dialect, limits: &Limits) -> Parsed {
    let mut reader =
        Page { book: Book::new(limits), dialect, line: 0, current: None, cr_told: false };
    reader.read(page);
    if dialect == Dialect::Prometheus {
        reader.book.fold_created();
    }
    reader.book.finish()
}

impl Page<'_> {
    fn read(&mut self, page: &[u8]) {
        let whole = page.len() <= self.book.limits.bytes;
        let mut rest = page.get(..self.book.limits.bytes).unwrap_or(page);
        if let Some(after) = rest.strip_prefix(b"\xEF\xBB\xBF") {
            rest = after;
            self.tell(Flaw::new(Reason::Encoding, "a byte order mark"), "");
        }
        let mut ended = self.dialect == Dialect::Prometheus;
        while !rest.is_empty() {
            self.line += 1;
            let Some(end) = memchr::memchr(b'\n', rest) else {
                if self.dialect == Dialect::OpenMetrics && rest == b"# EOF" {
                    ended = true;
                } else if whole {
                    // Half a number is a number, too.
                    self.tell(Flaw::new(Reason::Truncated, "the last line has no end"), rest);
                    ended = true;
                }
                break;
            };
            let (line, after) = rest.split_at_checked(end).unwrap_or_default();
            rest = after.get(1..).unwrap_or_default();
            if self.line_ends(line) {
                ended = true;
                if !rest.is_empty() {
                    self.tell(Flaw::new(Reason::Syntax, "something after the end"), rest);
                }
                break;
            }
        }
        self.line = 0;
        // Text has no end of its own to be seen before the limit.
        if !whole && (!ended || self.dialect == Dialect::Prometheus) {
            self.tell(Flaw::new(Reason::Limit, "the page is too long"), "");
        } else if !ended {
            self.tell(Flaw::new(Reason::Truncated, "the page has no `# EOF`"), "");
        }
    }

    /// Reads a line, and says whether it is the last one.
    fn line_ends(&mut self, line: &[u8]) -> bool {
        let stripped = line.strip_suffix(b"\r");
        if stripped.is_some() && !self.cr_told {
            self.cr_told = true;
            self.tell(Flaw::new(Reason::Encoding, "a line ends with CR"), line);
        }
        let bytes = stripped.unwrap_or(line);
        if bytes.len() > self.book.limits.line {
            self.tell(Flaw::new(Reason::Limit, "the line is too long"), bytes);
            return false;
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.tell(Flaw::new(Reason::Encoding, "the line is not UTF-8"), bytes);
            return false;
        };
        let told = match line::read(text, self.dialect, self.book.limits) {
            Ok(Line::End) => return true,
            Ok(Line::Blank) => Ok(()),
            Ok(Line::Help(name, help)) => self.help(name, help),
            Ok(Line::Type(name, kind)) => self.kind(name, kind),
            Ok(Line::Unit(name, unit)) => self.unit(name, unit),
            Ok(Line::Sample(sample)) => self.sample(sample, text),
            Err(flaw) => Err(flaw),
        };
        if let Err(flaw) = told {
            self.tell(flaw, text);
        }
        false
    }

    fn help(&mut self, name: &str, help: String) -> Result<(), Flaw> {
        let family = self.turn_to(name)?;
        let strict = self.dialect == Dialect::OpenMetrics;
        let Some(draft) = self.book.drafts.get_mut(family) else { return Ok(()) };
        match &draft.help {
            Some(told) if strict || *told != help => {
                Err(Flaw::new(Reason::Duplicate, "help is there twice"))
            }
            _ => {
                draft.help = Some(help);
                Ok(())
            }
        }
    }

    fn unit(&mut self, name: &str, unit: &str) -> Result<(), Flaw> {
        let family = self.turn_to(name)?;
        let Some(draft) = self.book.drafts.get_mut(family) else { return Ok(()) };
        if unit.is_empty() {
            return Ok(());
        }
        if draft.unit.is_some() {
            return Err(Flaw::new(Reason::Duplicate, "the unit is there twice"));
        }
        let ends = name.strip_suffix(unit).is_some_and(|base| base.ends_with('_'));
        if !ends || matches!(draft.kind, Some(MetricKind::Info | MetricKind::StateSet)) {
            return Err(Flaw::new(Reason::Name, "the name cannot have this unit"));
        }
        draft.unit = Some(unit.to_owned());
        Ok(())
    }

    fn kind(&mut self, name: &str, word: &str) -> Result<(), Flaw> {
        let family = self.turn_to(name)?;
        let strict = self.dialect == Dialect::OpenMetrics;
        let kind = self.dialect.kind(word);
        let kind = kind.ok_or(Flaw::new(Reason::Kind, "there is no such kind"))?;
        // Lines that came before under names of their own would be the histogram's otherwise.
        let parts = kind.suffixes().iter().any(|suffix| {
            self.dialect.part(kind, suffix).is_some()
                && (self.book.find(&format!("{name}{suffix}")))
                    .is_some_and(|(_, draft)| draft.sampled && draft.kind.is_none())
        });
        if strict {
            self.book.escape(name, family);
        }
        let Some(draft) = self.book.drafts.get_mut(family) else { return Ok(()) };
        match draft.kind {
            Some(told) if told != kind => {
                Err(Flaw::new(Reason::Kind, "the kind was another before"))
            }
            Some(_) if strict => Err(Flaw::new(Reason::Duplicate, "the kind is there twice")),
            Some(_) => Ok(()),
            None if draft.sampled || parts => {
                Err(Flaw::new(Reason::Kind, "the kind comes after samples"))
            }
            None => {
                draft.kind = Some(kind);
                draft.suffix = match kind {
                    MetricKind::Counter if strict && !name.ends_with("_total") => "_total",
                    MetricKind::Info => "_info",
                    _ => "",
                };
                if matches!(kind, MetricKind::Info | MetricKind::StateSet)
                    && draft.unit.take().is_some()
                {
                    return Err(Flaw::new(Reason::Name, "such a metric has no unit"));
                }
                if strict && kind == MetricKind::Counter && draft.suffix.is_empty() {
                    return Err(Flaw::new(Reason::Name, "the family of a counter ends in _total"));
                }
                Ok(())
            }
        }
    }

    fn sample(&mut self, sample: Sample<'_>, text: &str) -> Result<(), Flaw> {
        let (family, part) = self.resolve(sample.name)?;
        let line = Some(self.line);
        let Some(draft) = self.book.drafts.get_mut(family) else { return Ok(()) };
        draft.sampled = true;
        let kind = draft.kind.unwrap_or(MetricKind::Unknown);
        let Sample { mut labels, value, exemplar, .. } = sample;

        let key = match kind {
            MetricKind::Histogram | MetricKind::GaugeHistogram => Some("le"),
            MetricKind::Summary => Some("quantile"),
            _ => None,
        };
        let at = labels.iter().position(|(name, _)| Some(name.as_str()) == key);
        let bound = at.map(|at| labels.remove(at).1);
        let misses = Flaw::new(Reason::Label, "the label of a bound is missing, or where none is");
        if bound.is_some() != matches!(part, Part::Bucket | Part::Quantile) {
            return Err(misses);
        }
        if part == Part::Value {
            check::label_set(&mut labels)?;
            check::number(kind, &draft.name, &labels, value)?;
        }

        let most = self.book.limits.buckets;
        let point = self.book.point((line, family), labels)?;
        let parts = &mut point.parts;
        let twice = |there| {
            let flaw = Flaw::new(Reason::Duplicate, "the series is there twice");
            if there { Err(flaw) } else { Ok(()) }
        };
        let mut upper = None;
        match part {
            Part::Value => {
                twice(parts.whole.is_some())?;
                parts.whole = Some(Value::Number(value));
            }
            Part::Bucket | Part::Quantile => {
                // Told once; the rest of a series without one of its parts is of no use.
                if point.broken {
                    return Ok(());
                }
                upper = bound.and_then(|bound| number::not_nan(&bound));
                point.broken = true;
                let Some(bound) = upper else {
                    let reason =
                        if part == Part::Bucket { Reason::Histogram } else { Reason::Summary };
                    return Err(Flaw::new(reason, "a bound is no number"));
                };
                if parts.bounds.len() >= most {
                    return Err(Flaw::new(Reason::Limit, "too many buckets"));
                }
                point.broken = false;
                parts.bounds.push((bound, value));
            }
            Part::Sum => {
                twice(parts.sum.is_some())?;
                parts.sum = Some(value);
            }
            Part::Count => {
                twice(parts.count.is_some())?;
                parts.count = Some(value);
            }
            Part::Created => {
                twice(point.created.is_some())?;
                if !number::is_count(value) {
                    return Err(Flaw::new(Reason::Value, "the time is none"));
                }
                point.created = Some(value);
            }
        }
        let may = matches!((kind, part), (MetricKind::Counter, Part::Value) | (_, Part::Bucket));
        match exemplar {
            Some(Ok(exemplar)) if may && upper.is_none_or(|upper| exemplar.value <= upper) => {
                point.exemplars.push(exemplar);
            }
            Some(Ok(_)) => {
                let flaw = Flaw::new(Reason::Exemplar, "an exemplar where it cannot be");
                self.tell(flaw, text);
            }
            Some(Err(flaw)) => self.tell(flaw, text),
            None => {}
        }
        Ok(())
    }

    /// Which family a sample of this name is of, and what part of a series.
    fn resolve(&mut self, name: &str) -> Result<(usize, Part), Flaw> {
        let (family, part) = self.known(name)?;
        if self.current == Some(family) {
            return Ok((family, part));
        }
        if self.book.drafts.get(family).is_some_and(|draft| draft.sampled) {
            self.turned_back(name);
        }
        self.current = Some(family);
        Ok((family, part))
    }

    fn known(&mut self, name: &str) -> Result<(usize, Part), Flaw> {
        let book = &self.book;
        if let Some(found) = self.of_kind(name, |name| book.find(name)) {
            return Ok(found);
        }
        // Python's client has `_` for `:` in the samples of OpenMetrics, but not in their metadata.
        if let Some(found) = self.of_kind(name, |name| book.find_escaped(name)) {
            return Ok(found);
        }
        if book.find(name).is_some_and(|(_, draft)| draft.kind.is_some()) {
            return Err(Flaw::new(Reason::Kind, "a metric of this kind has no such line"));
        }
        let (at, _) = self.book.family(name)?;
        Ok((at, Part::Value))
    }

    /// The family that has a kind and such lines, and what part of a series they are.
    fn of_kind<'b>(
        &self,
        name: &str,
        find: impl Fn(&str) -> Option<(usize, &'b Draft)>,
    ) -> Option<(usize, Part)> {
        let kind = |name| find(name).and_then(|(at, draft)| Some((at, draft.kind?)));
        if let Some((at, kind)) = kind(name) {
            let total = self.dialect == Dialect::OpenMetrics && name.ends_with("_total");
            match self.dialect.part(kind, "") {
                Some(part) => return Some((at, part)),
                None if kind == MetricKind::Counter && total => return Some((at, Part::Value)),
                None => {}
            }
        }
        let (stem, suffix) = split_suffix(name)?;
        let (at, kind) = kind(stem)?;
        Some((at, self.dialect.part(kind, suffix)?))
    }

    /// The family that a line of metadata is of.
    fn turn_to(&mut self, name: &str) -> Result<usize, Flaw> {
        let known = self.book.find(name).map(|(at, _)| at);
        if known.is_some() && known != self.current {
            self.turned_back(name);
        }
        let (at, _) = self.book.family(name)?;
        self.current = Some(at);
        Ok(at)
    }

    /// A family goes on after lines of another one.
    fn turned_back(&mut self, name: &str) {
        if self.dialect == Dialect::OpenMetrics {
            let flaw = Flaw::new(Reason::Interleaved, "other families stand between its lines");
            self.tell(flaw, name);
        }
    }

    fn tell(&mut self, flaw: Flaw, about: impl AsRef<[u8]>) {
        let line = (self.line > 0).then_some(self.line);
        self.book.faults.tell(line, flaw, about);
    }
}

impl Dialect {
    fn kind(self, word: &str) -> Option<MetricKind> {
        Some(match (word, self) {
            ("counter", _) => MetricKind::Counter,
            ("gauge", _) => MetricKind::Gauge,
            ("histogram", _) => MetricKind::Histogram,
            ("summary", _) => MetricKind::Summary,
            ("untyped", Self::Prometheus) | ("unknown", Self::OpenMetrics) => MetricKind::Unknown,
            ("info", Self::OpenMetrics) => MetricKind::Info,
            ("stateset", Self::OpenMetrics) => MetricKind::StateSet,
            ("gaugehistogram", Self::OpenMetrics) => MetricKind::GaugeHistogram,
            _ => return None,
        })
    }

    /// What a line says whose name is that of a family of this kind, and this.
    fn part(self, kind: MetricKind, suffix: &str) -> Option<Part> {
        Some(match (kind, suffix) {
            (MetricKind::Gauge | MetricKind::Unknown | MetricKind::StateSet, "")
            | (MetricKind::Info, "_info") => Part::Value,
            (MetricKind::Counter, "") if self == Self::Prometheus => Part::Value,
            (MetricKind::Counter, "_total") if self == Self::OpenMetrics => Part::Value,
            (MetricKind::Counter, "_created") if self == Self::OpenMetrics => Part::Created,
            (MetricKind::Histogram | MetricKind::GaugeHistogram, "_bucket") => Part::Bucket,
            (MetricKind::Summary, "") => Part::Quantile,
            (MetricKind::Histogram | MetricKind::Summary, "_sum")
            | (MetricKind::GaugeHistogram, "_gsum") => Part::Sum,
            (MetricKind::Histogram | MetricKind::Summary, "_count")
            | (MetricKind::GaugeHistogram, "_gcount") => Part::Count,
            (MetricKind::Histogram | MetricKind::Summary, "_created") => Part::Created,
            _ => return None,
        })
    }
}
