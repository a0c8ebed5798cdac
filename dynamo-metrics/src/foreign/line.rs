//! One line of text.

use super::check::{self, Labels};
use super::fault::{Flaw, Reason};
use super::text::Dialect;
use super::{Exemplar, Limits, number};

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing, or something for people.
    Blank,
    /// `# EOF`.
    End,
    /// `# HELP name text`, unescaped.
    Help(&'a str, String),
    /// `# TYPE name kind`.
    Type(&'a str, &'a str),
    /// `# UNIT name unit`.
    Unit(&'a str, &'a str),
    /// A name, labels, and a value.
    Sample(Sample<'a>),
}

/// A name, labels, and a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    /// In the order of the line, with what is empty; each is checked, but not whether it is there
    /// once.
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) exemplar: Option<Result<Exemplar, Flaw>>,
}

/// A line, from where it has been read to.
struct Reader<'a> {
    rest: &'a str,
    dialect: Dialect,
    limits: &'a Limits,
}

/// Reads a line without its end.
pub(super) fn read<'a>(
    line: &'a str,
    dialect: Dialect,
    limits: &'a Limits,
) -> Result<Line<'a>, Flaw> {
    let mut reader = Reader { rest: line, dialect, limits };
    if dialect == Dialect::Prometheus {
        reader.skip_blanks();
    }
    if let Some(rest) = reader.rest.strip_prefix('#') {
        reader.rest = rest;
        return reader.comment();
    }
    if reader.rest.is_empty() {
        return match dialect {
            Dialect::Prometheus => Ok(Line::Blank),
            Dialect::OpenMetrics => Err(syntax("an empty line")),
        };
    }
    reader.sample().map(Line::Sample)
}

impl<'a> Reader<'a> {
    fn comment(&mut self) -> Result<Line<'a>, Flaw> {
        let strict = self.dialect == Dialect::OpenMetrics;
        if strict && self.rest == " EOF" {
            return Ok(Line::End);
        }
        let other = if strict { Err(syntax("a comment")) } else { Ok(Line::Blank) };
        if strict && !self.rest.starts_with(' ') {
            return other;
        }
        self.skip_blanks();
        let word = self.token();
        match word {
            "HELP" | "TYPE" => {}
            "UNIT" if strict => {}
            _ => return other,
        }
        self.separator()?;
        let name = self.token();
        check::metric_name(name, self.limits)?;
        if word == "HELP" {
            if self.rest.is_empty() {
                return Ok(Line::Help(name, String::new()));
            }
            self.separator()?;
            if self.rest.len() > self.limits.text {
                return Err(Flaw::new(Reason::Limit, "the help is too long"));
            }
            return Ok(Line::Help(name, unescape(self.rest)?));
        }
        if word == "UNIT" && self.rest.trim().is_empty() {
            return Ok(Line::Unit(name, ""));
        }
        self.separator()?;
        let said = self.token();
        self.end()?;
        if said.is_empty() {
            return Err(syntax("the line ends too early"));
        }
        Ok(if word == "TYPE" { Line::Type(name, said) } else { Line::Unit(name, said) })
    }

    fn sample(&mut self) -> Result<Sample<'a>, Flaw> {
        let name = self.take_while(|c| !matches!(c, ' ' | '\t' | '{'));
        if name.is_empty() && self.rest.starts_with('{') {
            return Err(Flaw::new(Reason::Name, "quoted names are not read"));
        }
        check::metric_name(name, self.limits)?;
        if self.dialect == Dialect::Prometheus {
            self.skip_blanks();
        }
        let mut labels = Labels::new();
        if self.skip("{") {
            labels = self.labels()?;
            if self.dialect == Dialect::Prometheus {
                self.skip_blanks();
            } else {
                self.separator()?;
            }
        } else if self.dialect == Dialect::OpenMetrics {
            self.separator()?;
        }
        let text = self.token();
        if text.is_empty() {
            return Err(syntax("the line ends too early"));
        }
        let value = number::value(text);
        let value = value.ok_or(Flaw::new(Reason::Value, "the value is no number"))?;
        let exemplar = match self.dialect {
            Dialect::Prometheus => {
                self.skip_blanks();
                self.milliseconds()?;
                None
            }
            Dialect::OpenMetrics => self.rest_of_openmetrics()?,
        };
        Ok(Sample { name, labels, value, exemplar })
    }

    /// Labels, after the brace that opens them.
    fn labels(&mut self) -> Result<Labels, Flaw> {
        let loose = self.dialect == Dialect::Prometheus;
        let mut labels = Labels::new();
        loop {
            self.skip_blanks_if(loose);
            if (loose || labels.is_empty()) && self.skip("}") {
                return Ok(labels);
            }
            if self.rest.starts_with('"') {
                return Err(Flaw::new(Reason::Label, "quoted names are not read"));
            }
            let name = self.take_while(|c| !matches!(c, ' ' | '\t' | '=' | '"' | ',' | '}'));
            self.skip_blanks_if(loose);
            if !self.skip("=") {
                return Err(syntax("a label without a value"));
            }
            self.skip_blanks_if(loose);
            if !self.skip("\"") {
                return Err(syntax("a label's value without quotes"));
            }
            let value = self.quoted()?;
            check::label(name, &value, self.limits)?;
            if labels.len() == self.limits.labels {
                return Err(Flaw::new(Reason::Limit, "too many labels"));
            }
            labels.push((name.to_owned(), value));
            self.skip_blanks_if(loose);
            if self.skip("}") {
                return Ok(labels);
            }
            if !self.skip(",") {
                return Err(syntax("labels without a comma between"));
            }
        }
    }

    /// A value after the quote that opens it.
    fn quoted(&mut self) -> Result<String, Flaw> {
        let mut from = 0;
        loop {
            let ahead = self.rest.as_bytes().get(from..).unwrap_or_default();
            let Some(at) = memchr::memchr2(b'"', b'\\', ahead) else {
                return Err(syntax("a label's value without an end"));
            };
            if ahead.get(at) == Some(&b'"') {
                let (text, rest) = self.rest.split_at_checked(from + at).unwrap_or_default();
                self.rest = rest.get(1..).unwrap_or_default();
                return unescape(text);
            }
            from += at + 2;
        }
    }

    /// A time stamp, if there is one, and the end. Times are dropped: what is passed on is as old
    /// as the answer that it came with.
    fn milliseconds(&mut self) -> Result<(), Flaw> {
        let text = self.token();
        if !text.is_empty() && text.parse::<i64>().is_err() {
            return Err(syntax("the time is no number"));
        }
        self.skip_blanks();
        self.end()
    }

    fn rest_of_openmetrics(&mut self) -> Result<Option<Result<Exemplar, Flaw>>, Flaw> {
        if !self.rest.is_empty() && !self.rest.starts_with(" #") {
            self.separator()?;
            number::seconds(self.token()).ok_or(syntax("the time is no number"))?;
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        if !self.skip(" # {") {
            return Err(syntax("something after the value"));
        }
        // The sample is complete; what follows cannot spoil it.
        let told = |flaw: Flaw| Flaw::new(Reason::Exemplar, flaw.what);
        Ok(Some(self.exemplar().map_err(told)))
    }

    /// An exemplar, after the brace that opens its labels.
    fn exemplar(&mut self) -> Result<Exemplar, Flaw> {
        let labels = self.labels()?;
        self.separator()?;
        let value = number::not_nan(self.token()).ok_or(syntax("the exemplar has no value"))?;
        let mut timestamp = None;
        if !self.rest.is_empty() {
            self.separator()?;
            let time = number::seconds(self.token());
            timestamp = Some(time.ok_or(syntax("the exemplar's time is no number"))?);
            self.end()?;
        }
        let mut exemplar = Exemplar { labels, value, timestamp };
        check::exemplar(&mut exemplar)?;
        Ok(exemplar)
    }

    fn end(&mut self) -> Result<(), Flaw> {
        if self.dialect == Dialect::Prometheus {
            self.skip_blanks();
        }
        if self.rest.is_empty() { Ok(()) } else { Err(syntax("something after the end")) }
    }

    /// What stands between two tokens: one space, or any blanks.
    fn separator(&mut self) -> Result<(), Flaw> {
        let one = self.skip(" ");
        if self.dialect == Dialect::OpenMetrics {
            return if one { Ok(()) } else { Err(syntax("no space between tokens")) };
        }
        self.skip_blanks();
        Ok(())
    }

    fn token(&mut self) -> &'a str {
        self.take_while(|c| !matches!(c, ' ' | '\t'))
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_blanks_if(&mut self, may: bool) {
        if may {
            self.skip_blanks();
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

/// Text without its escapes: `\\`, `\n` and `\"`, and no others. A quote that stands alone in help
/// harms nobody.
fn unescape(text: &str) -> Result<String, Flaw> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some(escaped @ ('\\' | '"')) => escaped,
                _ => return Err(syntax("an escape that there is not")),
            },
            c => c,
        });
    }
    Ok(plain)
}

fn syntax(what: &'static str) -> Flaw {
    Flaw::new(Reason::Syntax, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(line: &str) -> [Result<Line<'_>, Reason>; 2] {
        let limits = Box::leak(Box::new(Limits::default()));
        [Dialect::Prometheus, Dialect::OpenMetrics]
            .map(|dialect| read(line, dialect, limits).map_err(|flaw| flaw.reason))
    }

    fn sample<'a>(name: &'a str, labels: &[(&str, &str)], value: f64) -> Line<'a> {
        let labels = labels.iter().map(|&(name, value)| (name.into(), value.into())).collect();
        Line::Sample(Sample { name, labels, value, exemplar: None })
    }

    #[test]
    fn samples_are_read_in_both_dialects() {
        for (line, expected) in [
            ("a 1", sample("a", &[], 1.0)),
            ("a{} 1", sample("a", &[], 1.0)),
            ("a{b=\"c\"} -1e3", sample("a", &[("b", "c")], -1000.0)),
            ("a{b=\"\",b=\"é,}\"} 0", sample("a", &[("b", ""), ("b", "é,}")], 0.0)),
            (r#"a{b="\\\"\n"} +Inf"#, sample("a", &[("b", "\\\"\n")], f64::INFINITY)),
            ("a 1 1700000000", sample("a", &[], 1.0)),
        ] {
            assert_eq!(both(line), [Ok(expected.clone()), Ok(expected)], "{line}");
        }
    }

    #[test]
    fn blanks_are_free_in_one_dialect_only() {
        let expected = sample("a", &[("b", "c")], 1.0);
        for line in [
            " a{b=\"c\"} 1",
            "a {b=\"c\"} 1",
            "a{ b = \"c\" , } 1",
            "a{b=\"c\",} 1",
            "a{b=\"c\"}1",
            "a\t{b=\"c\"}\t1 \t 123 ",
        ] {
            let [text, openmetrics] = both(line);
            assert_eq!(text, Ok(expected.clone()), "{line}");
            assert!(openmetrics.is_err(), "{line}");
        }
        for line in ["", "# a comment", "#", "# EOF is near"] {
            assert_eq!(both(line), [Ok(Line::Blank), Err(Reason::Syntax)], "{line}");
        }
        assert_eq!(both("# EOF"), [Ok(Line::Blank), Ok(Line::End)]);
        assert_eq!(both("a 1 0.5"), [Err(Reason::Syntax), Ok(sample("a", &[], 1.0))]);
    }

    #[test]
    fn what_breaks_the_grammar_is_no_sample() {
        for (line, reason) in [
            ("a", Reason::Syntax),
            ("a ", Reason::Syntax),
            ("a x", Reason::Value),
            ("a 1 x", Reason::Syntax),
            ("a 1 2 3", Reason::Syntax),
            ("a{ 1", Reason::Syntax),
            ("a{b} 1", Reason::Syntax),
            ("a{b=c} 1", Reason::Syntax),
            ("a{b=\"c} 1", Reason::Syntax),
            ("a{b=\"c\\", Reason::Syntax),
            ("a{b=\"\\t\"} 1", Reason::Syntax),
            ("a{b=\"c\" d=\"e\"} 1", Reason::Syntax),
            ("a{,} 1", Reason::Syntax),
            ("a{b-c=\"d\"} 1", Reason::Label),
            ("a{__b=\"d\"} 1", Reason::Label),
            ("a{\"b.c\"=\"d\"} 1", Reason::Label),
            ("a.b 1", Reason::Name),
            ("9 1", Reason::Name),
            ("{\"a.b\"} 1", Reason::Name),
            ("# TYPE \"a.b\" gauge", Reason::Name),
            ("# TYPE 9 gauge", Reason::Name),
            ("# HELP", Reason::Name),
            ("# TYPE a", Reason::Syntax),
            ("# TYPE a gauge or so", Reason::Syntax),
            ("# HELP a \\d", Reason::Syntax),
        ] {
            let [text, openmetrics] = both(line);
            assert_eq!(text, Err(reason), "{line}");
            assert!(openmetrics.is_err(), "{line}");
        }
    }

    #[test]
    fn metadata_is_unescaped() {
        for (line, expected) in [
            ("# HELP a b  c", Line::Help("a", "b  c".into())),
            (r#"# HELP a "\"\\\n"#, Line::Help("a", "\"\"\\\n".into())),
            ("# HELP a", Line::Help("a", String::new())),
            ("# TYPE a gauge", Line::Type("a", "gauge")),
        ] {
            assert_eq!(both(line), [Ok(expected.clone()), Ok(expected)], "{line}");
        }
        let [text, openmetrics] = both("# UNIT a_seconds seconds");
        assert_eq!((text, openmetrics), (Ok(Line::Blank), Ok(Line::Unit("a_seconds", "seconds"))));
    }

    #[test]
    fn exemplars_fail_alone() {
        let exemplar = |line| match both(line) {
            [Err(Reason::Syntax), Ok(Line::Sample(sample))] => {
                assert_eq!(sample.value.to_bits(), 1_f64.to_bits());
                sample.exemplar.unwrap().map_err(|flaw| flaw.reason)
            }
            other => panic!("{other:?}"),
        };
        let labels = vec![("t".to_owned(), "x".to_owned())];
        let whole = Exemplar { labels, value: 0.5, timestamp: Some(1.5) };
        assert_eq!(exemplar("a 1 # {t=\"x\"} 0.5 1.5"), Ok(whole));
        assert!(exemplar("a 1 7 # {} 2").is_ok());
        let long = format!("a 1 # {{t=\"{}\"}} 1", "é".repeat(128));
        for bad in ["a 1 # {t=\"x\"} NaN", "a 1 # {t=\"x\"}", "a 1 # {t=\"x\",t=\"y\"} 1", &long] {
            assert_eq!(exemplar(bad), Err(Reason::Exemplar), "{bad}");
        }
        assert!(exemplar(&long.replacen('é', "", 1)).is_ok());
    }

    #[test]
    fn long_parts_are_limits() {
        let limits = Limits::default().text(3).labels(1);
        for line in ["abcd 1", "a{abcd=\"\"} 1", "a{b=\"abcd\"} 1", "a{b=\"\",c=\"\"} 1"] {
            let flaw = read(line, Dialect::Prometheus, &limits).unwrap_err();
            assert_eq!(flaw.reason, Reason::Limit, "{line}");
        }
        let help = read("# HELP a abcd", Dialect::Prometheus, &limits).unwrap_err();
        assert_eq!(help.reason, Reason::Limit);
    }
}
