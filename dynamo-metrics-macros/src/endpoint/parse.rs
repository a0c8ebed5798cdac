//! The arguments of `#[instrumented_endpoint]`, as they are written.

use std::time::Duration;

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitBool, LitStr, Path, Result, Token, parenthesized, token};

use crate::text::nearest;

/// Every argument there is, and how it is written.
const KNOWN: [(&str, &str); 15] = [
    ("name", "`name = \"..\"`"),
    ("scope", "`scope = expression`"),
    ("labels", "`labels(name = value, ..)`"),
    ("ok_if", "`ok_if = function`"),
    ("error_if", "`error_if = function`"),
    ("err", "`err(label = function)`"),
    ("cancelled", "`cancelled = \"..\"`"),
    ("in_flight", "`in_flight = false`"),
    ("buckets", "`buckets = [..]` or `buckets(duration = [..], ttft = [..], itl = [..])`"),
    ("stream", "`stream` or `stream(..)`"),
    ("slo", "`slo(ttft = \"500ms\", ..)`"),
    ("exemplar", "`exemplar` or `exemplar = expression`"),
    ("help", "`help = \"..\"`"),
    ("skip", "`skip`"),
    ("crate", "`crate = path`"),
];

/// Arguments of `#[tracing::instrument]`, which people will try.
const OF_TRACING: [&str; 8] =
    ["skip_all", "level", "target", "parent", "fields", "ret", "follows_from", "span"];

#[derive(Default, Clone)]
pub(super) struct Arguments {
    pub(super) name: Option<LitStr>,
    pub(super) scope: Option<Expr>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) verdict: Option<Verdict>,
    /// `f` of `err(label = f)`.
    pub(super) err: Option<Expr>,
    pub(super) cancelled: Option<Cancelled>,
    pub(super) in_flight: Option<bool>,
    pub(super) buckets: Option<Buckets>,
    pub(super) stream: Option<Stream>,
    pub(super) slo: Vec<(Objective, Ident, Duration)>,
    pub(super) exemplar: Option<Exemplar>,
    pub(super) help: Option<LitStr>,
    pub(super) skip: Option<Span>,
    pub(super) home: Option<Path>,
}

/// `name = value`, or a parameter's name alone.
#[derive(Clone)]
pub(super) struct Label {
    pub(super) name: Ident,
    /// `None` if the label is the parameter of its name.
    pub(super) value: Option<Expr>,
}

/// What says whether a call went well, if not its value's type.
#[derive(Clone)]
pub(super) struct Verdict {
    pub(super) key: Ident,
    /// What the predicate says if it holds.
    pub(super) ok: bool,
    pub(super) predicate: Expr,
}

/// What a call is that is dropped before its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelled {
    Separate,
    Error,
    Ignore,
}

#[derive(Default, Clone)]
pub(super) struct Buckets {
    pub(super) duration: Option<Expr>,
    pub(super) ttft: Option<(Span, Expr)>,
    pub(super) itl: Option<(Span, Expr)>,
}

#[derive(Clone)]
pub(super) struct Stream {
    pub(super) span: Span,
    pub(super) unit: Option<(Unit, Span)>,
    pub(super) first: Option<Expr>,
    pub(super) count: Option<Expr>,
    /// Whether items are made whether or not somebody asks.
    pub(super) push: bool,
}

/// What one unit of a stream is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Items,
    Sse,
    Grpc,
    Frames,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    Ttft,
    Itl,
    Tpot,
    E2e,
}

#[derive(Clone)]
pub(super) struct Exemplar {
    pub(super) trace: Option<Expr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        each(input, |key| arguments.set(key, input))?;
        Ok(arguments)
    }
}

impl Arguments {
    fn set(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        match key.to_string().as_str() {
            "name" => once(&mut self.name, key, || valued(key, input)),
            "scope" => once(&mut self.scope, key, || valued(key, input)),
            "labels" => once(&mut self.labels, key, || {
                let content = listed(key, input)?;
                let labels = Punctuated::<Label, Token![,]>::parse_terminated(&content)?;
                Ok(labels.into_iter().collect())
            }),
            "ok_if" | "error_if" => {
                let ok = key == "ok_if";
                if self.verdict.as_ref().is_some_and(|verdict| verdict.ok != ok) {
                    let why = "either `ok_if` or `error_if` says which calls went well, not both";
                    return Err(Error::new(key.span(), why));
                }
                once(&mut self.verdict, key, || {
                    Ok(Verdict { key: key.clone(), ok, predicate: valued(key, input)? })
                })
            }
            "err" => once(&mut self.err, key, || {
                let content = listed(key, input)?;
                let mut label = None;
                each(&content, |inner| match inner.to_string().as_str() {
                    "label" => once(&mut label, inner, || valued(key, &content)),
                    _ => Err(unknown_within(key, inner, &["label"])),
                })?;
                label.ok_or_else(|| wrongly(key))
            }),
            "cancelled" => once(&mut self.cancelled, key, || {
                let text: LitStr = valued(key, input)?;
                Ok(match text.value().as_str() {
                    "separate" => Cancelled::Separate,
                    "error" => Cancelled::Error,
                    "ignore" => Cancelled::Ignore,
                    _ => {
                        let why = "expected one of \"separate\", \"error\", \"ignore\"";
                        return Err(Error::new(text.span(), why));
                    }
                })
            }),
            "in_flight" => once(&mut self.in_flight, key, || {
                valued::<LitBool>(key, input).map(|value| value.value)
            }),
            "buckets" => once(&mut self.buckets, key, || buckets(key, input)),
            "stream" => once(&mut self.stream, key, || stream(key, input)),
            // The one argument that may stand more than once.
            "slo" => self.objectives(key, input),
            "exemplar" => once(&mut self.exemplar, key, || {
                let trace = input.peek(Token![=]).then(|| valued(key, input)).transpose()?;
                Ok(Exemplar { trace })
            }),
            "help" => once(&mut self.help, key, || valued(key, input)),
            "skip" => once(&mut self.skip, key, || {
                // As `tracing` has it.
                if input.peek(token::Paren) {
                    return Err(Error::new(
                        key.span(),
                        "labels are opt-in: there is nothing to skip",
                    ));
                }
                Ok(key.span())
            }),
            "crate" => once(&mut self.home, key, || {
                input.parse::<Token![=]>().map_err(|_| wrongly(key))?;
                input.call(Path::parse_mod_style)
            }),
            unknown => Err(Error::new(key.span(), unknown_key(unknown))),
        }
    }

    fn objectives(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        const OBJECTIVES: [&str; 4] = ["ttft", "itl", "tpot", "e2e"];
        let content = listed(key, input)?;
        if content.is_empty() {
            return Err(wrongly(key));
        }
        each(&content, |inner| {
            let objective = match inner.to_string().as_str() {
                "ttft" => Objective::Ttft,
                "itl" => Objective::Itl,
                "tpot" => Objective::Tpot,
                "e2e" => Objective::E2e,
                _ => return Err(unknown_within(key, inner, &OBJECTIVES)),
            };
            if self.slo.iter().any(|(known, ..)| *known == objective) {
                return Err(Error::new(inner.span(), format!("`{inner}` is given twice")));
            }
            let text: LitStr = valued(key, &content)?;
            self.slo.push((objective, inner.clone(), duration(&text)?));
            Ok(())
        })
    }

    /// Whether anything but `skip` is there.
    pub(super) fn is_more_than_skip(&self) -> bool {
        self.name.is_some()
            || self.scope.is_some()
            || self.labels.is_some()
            || self.verdict.is_some()
            || self.err.is_some()
            || self.cancelled.is_some()
            || self.in_flight.is_some()
            || self.buckets.is_some()
            || self.stream.is_some()
            || !self.slo.is_empty()
            || self.exemplar.is_some()
            || self.help.is_some()
            || self.home.is_some()
    }
}

impl Parse for Label {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        refuse_formatted(input)?;
        let name = input.call(Ident::parse_any)?;
        if input.is_empty() || input.peek(Token![,]) {
            return Ok(Self { name, value: None });
        }
        input.parse::<Token![=]>()?;
        refuse_formatted(input)?;
        if input.peek2(Token![:]) && !input.peek2(Token![::]) {
            return Err(input
                .error("the labels of a call are known when it starts: none is set by the body"));
        }
        Ok(Self { name, value: Some(input.parse()?) })
    }
}

/// `%x` and `?x`, as `tracing` has them.
fn refuse_formatted(input: ParseStream<'_>) -> Result<()> {
    if input.peek(Token![%]) || input.peek(Token![?]) {
        return Err(input.error(
            "formatted text is no label value: nothing bounds how many values it has; \
             use a type with `#[derive(LabelValue)]`",
        ));
    }
    Ok(())
}

fn buckets(key: &Ident, input: ParseStream<'_>) -> Result<Buckets> {
    let mut buckets = Buckets::default();
    if input.peek(Token![=]) {
        buckets.duration = Some(valued(key, input)?);
        return Ok(buckets);
    }
    let content = listed(key, input)?;
    if content.is_empty() {
        return Err(wrongly(key));
    }
    each(&content, |inner| {
        let spanned = || Ok((inner.span(), valued(key, &content)?));
        match inner.to_string().as_str() {
            "duration" => once(&mut buckets.duration, inner, || valued(key, &content)),
            "ttft" => once(&mut buckets.ttft, inner, spanned),
            "itl" => once(&mut buckets.itl, inner, spanned),
            _ => Err(unknown_within(key, inner, &["duration", "ttft", "itl"])),
        }
    })?;
    Ok(buckets)
}

fn stream(key: &Ident, input: ParseStream<'_>) -> Result<Stream> {
    const KEYS: [&str; 7] = ["items", "sse", "grpc", "frames", "first", "count", "producer"];
    let mut stream = Stream { span: key.span(), unit: None, first: None, count: None, push: false };
    if !input.peek(token::Paren) {
        return Ok(stream);
    }
    let content = listed(key, input)?;
    let mut producer = None;
    each(&content, |inner| {
        let unit = match inner.to_string().as_str() {
            "items" => Unit::Items,
            "sse" => Unit::Sse,
            "grpc" => Unit::Grpc,
            "frames" => Unit::Frames,
            "first" => return once(&mut stream.first, inner, || valued(key, &content)),
            "count" => return once(&mut stream.count, inner, || valued(key, &content)),
            "producer" => {
                return once(&mut producer, inner, || {
                    let text: LitStr = valued(key, &content)?;
                    match text.value().as_str() {
                        "pull" => Ok(false),
                        "push" => Ok(true),
                        _ => Err(Error::new(text.span(), "expected \"pull\" or \"push\"")),
                    }
                });
            }
            _ => return Err(unknown_within(key, inner, &KEYS)),
        };
        match stream.unit {
            Some((other, _)) if other != unit => {
                let why = "a stream has one unit: `items`, `sse`, `grpc` or `frames`";
                Err(Error::new(inner.span(), why))
            }
            _ => once(&mut stream.unit, inner, || Ok((unit, inner.span()))),
        }
    })?;
    stream.push = producer.unwrap_or(false);
    Ok(stream)
}

/// `500ms`, as a duration.
fn duration(text: &LitStr) -> Result<Duration> {
    let refused = || Error::new(text.span(), "expected a time such as \"500ms\", \"1.5s\", \"2m\"");
    let value = text.value();
    let at = value.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(refused)?;
    let (number, unit) = value.split_at(at);
    let unit = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(refused()),
    };
    let number: f64 = number.trim().parse().map_err(|_| refused())?;
    let duration = Duration::try_from_secs_f64(number * unit).map_err(|_| refused())?;
    if duration.is_zero() {
        return Err(Error::new(text.span(), "no call takes no time"));
    }
    Ok(duration)
}

/// Reads keys, each with what comes after it, up to the end.
fn each(input: ParseStream<'_>, mut read: impl FnMut(&Ident) -> Result<()>) -> Result<()> {
    while !input.is_empty() {
        read(&input.call(Ident::parse_any)?)?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

/// What comes after `key =`.
fn valued<T: Parse>(key: &Ident, input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>().map_err(|_| wrongly(key))?;
    input.parse()
}

/// What stands in parentheses after `key`.
fn listed<'a>(key: &Ident, input: ParseStream<'a>) -> Result<syn::parse::ParseBuffer<'a>> {
    if !input.peek(token::Paren) {
        return Err(wrongly(key));
    }
    let content;
    parenthesized!(content in input);
    Ok(content)
}

fn once<T>(place: &mut Option<T>, key: &Ident, parse: impl FnOnce() -> Result<T>) -> Result<()> {
    if place.is_some() {
        return Err(Error::new(key.span(), format!("`{key}` is given twice")));
    }
    *place = Some(parse()?);
    Ok(())
}

/// The key is right, and what comes after it is not.
fn wrongly(key: &Ident) -> Error {
    let usage = KNOWN.iter().find(|(known, _)| key == known).map_or("", |(_, usage)| usage);
    Error::new(key.span(), format!("expected {usage}"))
}

fn unknown_within(key: &Ident, inner: &Ident, known: &[&str]) -> Error {
    let all: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    let all = if all.len() > 1 { format!("one of {}", all.join(", ")) } else { all.concat() };
    Error::new(inner.span(), format!("`{key}` has no `{inner}`, expected {all}"))
}

fn unknown_key(key: &str) -> String {
    let known = KNOWN.map(|(known, _)| known);
    let all = format!("expected one of `{}`", known.join("`, `"));
    if OF_TRACING.contains(&key) {
        return format!(
            "`{key}` is an argument of `#[tracing::instrument]`: put that attribute beside this \
             one; {all}"
        );
    }
    match nearest(key, &known) {
        Some(known) => format!("unknown argument `{key}`, did you mean `{known}`?"),
        None => format!("unknown argument `{key}`, {all}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let read = |text| duration(&LitStr::new(text, Span::call_site())).ok();
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("1.5 s"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("2m"), Some(Duration::from_secs(120)));
        for refused in ["", "5", "ms", "fast", "-1s", "0s", "NaNs", "infs", "1e400s", "1d"] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
