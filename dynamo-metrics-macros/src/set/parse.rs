//! The attributes of `#[derive(MetricSet)]`, as they are written.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, Ident, LitInt, LitStr, Path, Result, Token, Type, parenthesized,
};

use crate::text::{nearest, unknown};

/// Every argument of `#[metric_set(..)]`.
const OF_SET: [&str; 6] = ["prefix", "fixed_prefix", "name", "help", "source", "crate"];

/// Every argument of `#[metric(..)]`.
const OF_FIELD: [&str; 15] = [
    "name",
    "help",
    "source",
    "unit",
    "buckets",
    "native",
    "exemplars",
    "alias",
    "labels",
    "each",
    "time_to_live",
    "series_cap",
    "of_workers",
    "flatten",
    "skip",
];

/// The units, as they are written and as they are called.
const UNITS: [(&str, &str); 8] = [
    ("seconds", "Seconds"),
    ("bytes", "Bytes"),
    ("tokens", "Tokens"),
    ("ratio", "Ratio"),
    ("celsius", "Celsius"),
    ("watts", "Watts"),
    ("joules", "Joules"),
    ("hertz", "Hertz"),
];

/// What the names of a set start with.
pub(super) struct Prefix {
    /// A text, or a constant.
    pub(super) text: Expr,
    pub(super) is_fixed: bool,
}

#[derive(Default)]
pub(super) struct SetArguments {
    pub(super) prefix: Option<Prefix>,
    pub(super) name: Option<LitStr>,
    pub(super) help: Option<LitStr>,
    pub(super) source: Option<LitStr>,
    pub(super) home: Option<Path>,
}

#[derive(Default)]
pub(super) struct FieldArguments {
    pub(super) name: Option<LitStr>,
    pub(super) help: Option<LitStr>,
    pub(super) source: Option<LitStr>,
    pub(super) unit: Option<Unit>,
    pub(super) buckets: Option<Expr>,
    pub(super) native: Option<Native>,
    pub(super) exemplars: Option<Span>,
    pub(super) aliases: Vec<LitStr>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) each: Option<Each>,
    pub(super) time_to_live: Option<Expr>,
    pub(super) series_cap: Option<Expr>,
    pub(super) of_workers: Option<Span>,
    pub(super) flatten: Option<Span>,
    pub(super) skip: Option<Span>,
    /// The first argument that is neither `flatten` nor `skip`.
    pub(super) other: Option<Ident>,
}

/// Which native buckets.
pub(super) enum Native {
    Default,
    Given(Expr),
}

pub(super) struct Unit {
    pub(super) span: Span,
    /// As it stands in names.
    pub(super) text: &'static str,
    /// As its variant is called.
    pub(super) variant: &'static str,
}

/// A label's name, and its value if that is always the same.
pub(super) struct Label {
    pub(super) name: Name,
    pub(super) value: Option<Expr>,
}

/// A name that is written with quotation marks or without.
pub(super) struct Name {
    pub(super) text: String,
    pub(super) span: Span,
}

/// A label, and the enum of its values.
pub(super) struct Each {
    pub(super) label: Name,
    pub(super) values: Type,
}

impl SetArguments {
    pub(super) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut arguments = Self::default();
        each_argument(attributes, "metric_set", |key, input| match key.to_string().as_str() {
            "prefix" | "fixed_prefix" if arguments.prefix.is_some() => {
                Err(Error::new(key.span(), "a set has one prefix"))
            }
            which @ ("prefix" | "fixed_prefix") => {
                let (text, is_fixed) = (value(input)?, which == "fixed_prefix");
                arguments.prefix = Some(Prefix { text, is_fixed });
                Ok(())
            }
            "name" => set_once(&mut arguments.name, key, || value(input)),
            "help" => set_once(&mut arguments.help, key, || value(input)),
            "source" => set_once(&mut arguments.source, key, || value(input)),
            "crate" => set_once(&mut arguments.home, key, || {
                input.parse::<Token![=]>()?;
                input.call(Path::parse_mod_style)
            }),
            other => Err(Error::new(key.span(), unknown(other, &OF_SET))),
        })?;
        Ok(arguments)
    }
}

impl FieldArguments {
    pub(super) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut arguments = Self::default();
        each_argument(attributes, "metric", |key, input| arguments.set(key, input))?;
        Ok(arguments)
    }

    fn set(&mut self, key: &Ident, input: ParseStream<'_>) -> Result<()> {
        let name = key.to_string();
        if !matches!(name.as_str(), "flatten" | "skip") && self.other.is_none() {
            self.other = Some(key.clone());
        }
        match name.as_str() {
            "name" => set_once(&mut self.name, key, || value(input)),
            "help" => set_once(&mut self.help, key, || value(input)),
            "source" => set_once(&mut self.source, key, || value(input)),
            "unit" => set_once(&mut self.unit, key, || value(input)),
            "buckets" => set_once(&mut self.buckets, key, || value(input)),
            "native" => set_once(&mut self.native, key, || {
                let is_given = input.peek(Token![=]);
                if is_given { value(input).map(Native::Given) } else { Ok(Native::Default) }
            }),
            "exemplars" => set_once(&mut self.exemplars, key, || Ok(key.span())),
            "alias" => {
                self.aliases.push(value(input)?);
                Ok(())
            }
            "labels" => set_once(&mut self.labels, key, || {
                let content;
                parenthesized!(content in input);
                let labels = Punctuated::<Label, Token![,]>::parse_terminated(&content)?;
                Ok(labels.into_iter().collect())
            }),
            "each" => set_once(&mut self.each, key, || {
                let content;
                parenthesized!(content in input);
                content.parse()
            }),
            "time_to_live" => set_once(&mut self.time_to_live, key, || value(input)),
            "series_cap" => set_once(&mut self.series_cap, key, || value(input)),
            "of_workers" => set_once(&mut self.of_workers, key, || Ok(key.span())),
            "flatten" => set_once(&mut self.flatten, key, || Ok(key.span())),
            "skip" => set_once(&mut self.skip, key, || Ok(key.span())),
            other => Err(Error::new(key.span(), unknown(other, &OF_FIELD))),
        }
    }
}

impl Parse for Unit {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if let Ok(quoted) = input.fork().parse::<LitStr>() {
            let why = format!("a unit is written without quotation marks: {}", quoted.value());
            return Err(Error::new(quoted.span(), why));
        }
        let ident: Ident = input.parse()?;
        let (span, written) = (ident.span(), ident.to_string());
        if let Some((text, variant)) = UNITS.into_iter().find(|(text, _)| *text == written) {
            return Ok(Self { span, text, variant });
        }
        let known = UNITS.map(|(text, _)| text);
        let why = match nearest(&written.to_lowercase(), &known) {
            Some(meant) => format!("unknown unit `{written}`, did you mean `{meant}`?"),
            None => format!(
                "unknown unit `{written}`, expected a base unit: `seconds`, `bytes`, `tokens`, \
                 `ratio`, `celsius`, `watts`, `joules` or `hertz`"
            ),
        };
        Err(Error::new(span, why))
    }
}

impl Parse for Label {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name = input.parse()?;
        let has_value = input.peek(Token![=]);
        Ok(Self { name, value: if has_value { Some(value(input)?) } else { None } })
    }
}

impl Parse for Name {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            return Ok(Self { span: text.span(), text: text.value() });
        }
        let ident = input.call(Ident::parse_any)?;
        Ok(Self { span: ident.span(), text: ident.unraw().to_string() })
    }
}

impl Parse for Each {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let label = input.parse()?;
        if !input.peek(Token![:]) {
            return Err(input.error("expected the label and the enum of its values: `label: Enum`"));
        }
        input.parse::<Token![:]>()?;
        let values = input.parse()?;
        if !input.is_empty() {
            return Err(input.error("an array has one label"));
        }
        Ok(Self { label, values })
    }
}

/// Calls `set` with each argument's name, and the rest of the attribute.
fn each_argument(
    attributes: &[Attribute],
    path: &str,
    mut set: impl FnMut(&Ident, ParseStream<'_>) -> Result<()>,
) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(path)) {
        attribute.parse_args_with(|input: ParseStream<'_>| {
            while !input.is_empty() {
                let key = input.call(Ident::parse_any)?;
                set(&key, input)?;
                if !input.is_empty() {
                    input.parse::<Token![,]>()?;
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// What stands after `=`.
fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

fn set_once<T>(
    place: &mut Option<T>,
    key: &Ident,
    parse: impl FnOnce() -> Result<T>,
) -> Result<()> {
    if place.is_some() {
        return Err(Error::new(key.span(), format!("`{key}` is given twice")));
    }
    *place = Some(parse()?);
    Ok(())
}

/// The value of a number that is written out.
pub(super) fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Float(float) => float.base10_parse().ok(),
            syn::Lit::Int(int) => of_int(int),
            _ => None,
        },
        Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Neg(_)) => {
            number(&unary.expr).map(|value| -value)
        }
        Expr::Group(group) => number(&group.expr),
        _ => None,
    }
}

fn of_int(int: &LitInt) -> Option<f64> {
    int.base10_parse::<u32>().ok().map(f64::from)
}
