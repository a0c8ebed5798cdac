//! `#[derive(MetricSet)]`: what is written, checked as far as tokens tell.
//!
//! What a field's type is, only the compiler knows; traits of the core say what it may be.

mod expand;
mod parse;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt as _;
use syn::{
    Data, DeriveInput, Error, Expr, ExprArray, Fields, Generics, Ident, Lit, LitFloat, Path,
    Result, Type,
};

use crate::docs::Docs;
use crate::home::moved;
use crate::label::check_name;
use parse::{Each, FieldArguments, Label, Name, Native, Prefix, SetArguments, Unit, number};

/// Most bounds that a histogram may have, as the core has it.
const MOST_BOUNDS: usize = 256;

/// The label that a scope sets, and a metric of other workers has of its own.
const WORKER_ID: &str = "worker_id";

/// A set that can be expanded.
struct Set {
    ident: Ident,
    generics: Generics,
    body: Body,
    /// Where the core is.
    home: Option<Path>,
}

enum Body {
    Fields(Box<Description>, Vec<Field>),
    /// A set in a name of its own.
    Within(Box<Type>),
}

struct Description {
    name: String,
    help: String,
    source: String,
    prefix: Option<Prefix>,
}

struct Field {
    ident: Ident,
    ty: Type,
    role: Role,
}

enum Role {
    Metric(Box<Metric>),
    Set,
    Skipped,
}

struct Metric {
    name: String,
    help: String,
    source: String,
    unit: Option<Unit>,
    buckets: Option<Buckets>,
    native: Option<Native>,
    exemplars: bool,
    aliases: Vec<String>,
    constants: Vec<Constant>,
    /// Names of labels whose values come at run time.
    names: Vec<Name>,
    each: Option<Each>,
    time_to_live: Option<Expr>,
    series_cap: Option<Expr>,
    /// Its label `worker_id` tells other workers apart.
    of_workers: bool,
}

/// A label that does not change, and its value.
type Constant = (String, Expr);

/// What makes buckets.
enum Buckets {
    /// Bounds that were checked here.
    Checked(Expr),
    /// A constant, whose bounds the compiler can check.
    Constant(Expr),
    /// The path of a function.
    Function(Expr),
    /// Anything else.
    Other(Expr),
}

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let set = Set::read(syn::parse2(item)?)?;
    Ok(moved(expand::expand(&set), set.home.as_ref()))
}

impl Set {
    fn read(input: DeriveInput) -> Result<Self> {
        let DeriveInput { attrs, ident, generics, data, .. } = input;
        let Data::Struct(data) = data else {
            return Err(Error::new_spanned(ident, "expected a struct: its fields are metrics"));
        };
        let mut arguments = SetArguments::read(&attrs)?;
        let home = arguments.home.take();
        let body = match data.fields {
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let within = fields.unnamed.into_iter().next();
                within.map(|field| Body::Within(Box::new(field.ty))).ok_or_else(|| {
                    Error::new_spanned(&ident, "expected a struct: its fields are metrics")
                })?
            }
            Fields::Unnamed(fields) => {
                return Err(Error::new_spanned(
                    fields,
                    "a metric needs a name: name the fields (one field without a name is a set, of \
                     which this one is another name)",
                ));
            }
            fields => {
                let description = Description::read(&ident, arguments, &Docs::read(&attrs))?;
                let fields = fields.into_iter().map(Field::read).collect::<Result<Vec<_>>>()?;
                Body::Fields(Box::new(description), fields)
            }
        };
        if let Body::Fields(_, fields) = &body {
            check_repeated(fields)?;
            let metric = |field: &Field| matches!(field.role, Role::Metric(_) | Role::Set);
            if !fields.iter().any(metric) {
                return Err(Error::new_spanned(&ident, "a set needs at least one metric"));
            }
        }
        Ok(Self { ident, generics, body, home })
    }
}

impl Description {
    fn read(ident: &Ident, arguments: SetArguments, docs: &Docs) -> Result<Self> {
        let prefix = arguments.prefix;
        if let Some(Expr::Lit(literal)) = prefix.as_ref().map(|prefix| &prefix.text)
            && let Lit::Str(text) = &literal.lit
        {
            check_metric_name(&text.value(), text.span())?;
        }
        let name = arguments.name.map_or_else(|| ident.unraw().to_string(), |name| name.value());
        let help = arguments.help.map_or_else(|| docs.summary(), |help| help.value());
        let source = arguments.source.map_or_else(|| docs.source(), |source| source.value());
        Ok(Self { name, help, source, prefix })
    }
}

impl Field {
    fn read(field: syn::Field) -> Result<Self> {
        let arguments = FieldArguments::read(&field.attrs)?;
        let Some(ident) = field.ident else {
            return Err(Error::new_spanned(field.ty, "a metric needs a name"));
        };
        let alone = |name: &str| match &arguments.other {
            Some(other) => {
                let why = format!("`{name}` stands alone: this is said where the metrics are");
                Err(Error::new(other.span(), why))
            }
            None => Ok(()),
        };
        let role = match (arguments.flatten, arguments.skip) {
            (Some(_), Some(skip)) => {
                return Err(Error::new(skip, "a set within is not skipped: `flatten` or `skip`"));
            }
            (Some(_), None) => {
                alone("flatten")?;
                Role::Set
            }
            (None, Some(_)) => {
                alone("skip")?;
                Role::Skipped
            }
            (None, None) => {
                let docs = Docs::read(&field.attrs);
                Role::Metric(Box::new(Metric::read(&ident, &field.ty, arguments, &docs)?))
            }
        };
        Ok(Self { ident, ty: field.ty, role })
    }

    /// The names under which it is exposed, without those of a set within.
    fn names(&self) -> impl Iterator<Item = &str> {
        let metric = match &self.role {
            Role::Metric(metric) => Some(metric),
            Role::Set | Role::Skipped => None,
        };
        metric.into_iter().flat_map(|metric| {
            std::iter::once(&metric.name).chain(&metric.aliases).map(String::as_str)
        })
    }
}

impl Metric {
    fn read(ident: &Ident, ty: &Type, arguments: FieldArguments, docs: &Docs) -> Result<Self> {
        let (name, span) = match &arguments.name {
            Some(name) => (name.value(), name.span()),
            // `_` in front says that nobody reads the field.
            None => (ident.unraw().to_string().trim_start_matches('_').to_owned(), ident.span()),
        };
        check_metric_name(&name, span)?;
        for alias in &arguments.aliases {
            check_metric_name(&alias.value(), alias.span())?;
        }
        let help = arguments.help.map_or_else(|| docs.summary(), |help| help.value());
        if help.is_empty() {
            return Err(Error::new_spanned(
                ident,
                "a metric says what it is: write a doc comment, or `#[metric(help = \"..\")]`",
            ));
        }
        if let Some(unit) = &arguments.unit {
            let ends_in = |name: &str| name.ends_with(&format!("_{}", unit.text));
            if !ends_in(&name) && !name.strip_suffix("_total").is_some_and(ends_in) {
                let (name, unit) = (&name, unit.text);
                let why = format!("{name:?} does not end in `_{unit}`, as a name with a unit does");
                return Err(Error::new(arguments.unit.map_or(span, |unit| unit.span), why));
            }
        }
        let labels = arguments.labels.unwrap_or_default();
        let (constants, names) = split(labels, arguments.of_workers.is_some())?;
        if let Some(span) = arguments.of_workers
            && !names.iter().any(|name| name.text == WORKER_ID)
        {
            return Err(Error::new(
                span,
                "metrics of workers tell them apart: `labels(worker_id, ..)`",
            ));
        }
        if let Some(each) = &arguments.each {
            check_label(&each.label)?;
            if constants.iter().any(|(name, _)| *name == each.label.text) {
                return Err(repeated(&each.label));
            }
        }
        check_shape(ty, arguments.each.is_some(), &names)?;
        Ok(Self {
            name,
            help,
            source: arguments.source.map_or_else(|| docs.source(), |source| source.value()),
            unit: arguments.unit,
            buckets: arguments.buckets.map(Buckets::read).transpose()?,
            native: arguments.native,
            exemplars: arguments.exemplars.is_some(),
            aliases: arguments.aliases.iter().map(syn::LitStr::value).collect(),
            constants,
            names,
            each: arguments.each,
            time_to_live: arguments.time_to_live,
            series_cap: arguments.series_cap,
            of_workers: arguments.of_workers.is_some(),
        })
    }
}

impl Buckets {
    fn read(expr: Expr) -> Result<Self> {
        Ok(match expr {
            Expr::Array(array) => match array.elems.iter().map(number).collect() {
                Some(bounds) => Self::Checked(check_bounds(array, &bounds)?),
                None => Self::Other(Expr::Array(array)),
            },
            Expr::Path(path) => {
                let of_self = path.path.segments.first().is_some_and(|first| first.ident == "Self");
                let last = path.path.segments.last().map(|last| last.ident.unraw().to_string());
                let last = last.unwrap_or_default();
                // As names are written everywhere: functions small, constants not.
                if last.starts_with(|c: char| c.is_lowercase() || c == '_') {
                    Self::Function(Expr::Path(path))
                } else if of_self {
                    Self::Other(Expr::Path(path))
                } else {
                    Self::Constant(Expr::Path(path))
                }
            }
            other => Self::Other(other),
        })
    }
}

/// Two metrics of one name would be one metric.
fn check_repeated(fields: &[Field]) -> Result<()> {
    let mut seen: Vec<&str> = Vec::new();
    for field in fields {
        for name in field.names() {
            if seen.contains(&name) {
                let why = format!("two metrics are named {name:?}");
                return Err(Error::new(field.ident.span(), why));
            }
            seen.push(name);
        }
    }
    Ok(())
}

/// Labels that do not change, and the names of others.
fn split(labels: Vec<Label>, of_workers: bool) -> Result<(Vec<Constant>, Vec<Name>)> {
    let mut seen: Vec<String> = Vec::new();
    let (mut constants, mut names) = (Vec::new(), Vec::new());
    for Label { name, value } in labels {
        if !(of_workers && name.text == WORKER_ID && value.is_none()) {
            check_label(&name)?;
        }
        if seen.contains(&name.text) {
            return Err(repeated(&name));
        }
        seen.push(name.text.clone());
        match value {
            Some(value) => constants.push((name.text, value)),
            None => names.push(name),
        }
    }
    Ok((constants, names))
}

fn check_label(name: &Name) -> Result<()> {
    check_name(&name.text).map_err(|why| Error::new(name.span, why))
}

fn repeated(name: &Name) -> Error {
    Error::new(name.span, format!("label `{}` is given twice", name.text))
}

/// Checks what the type asks of the attribute, where it is called by its own name.
fn check_shape(ty: &Type, has_each: bool, names: &[Name]) -> Result<()> {
    match ty {
        Type::Group(group) => check_shape(&group.elem, has_each, names),
        Type::Paren(paren) => check_shape(&paren.elem, has_each, names),
        Type::Array(_) if !has_each => Err(Error::new_spanned(
            ty,
            "an array has one metric for each value of an enum: say of which by \
             `#[metric(each(label: Enum))]`",
        )),
        Type::Path(path) if names.is_empty() => match path.path.segments.last() {
            Some(last) if last.ident == "DynamicFamily" => Err(Error::new_spanned(
                ty,
                "the labels of a `DynamicFamily` need names: `#[metric(labels(model, ..))]`",
            )),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Checks bounds that are written out; they come back as floats.
fn check_bounds(mut array: ExprArray, bounds: &Vec<f64>) -> Result<Expr> {
    if bounds.is_empty() {
        return Err(Error::new_spanned(array, "there is no bucket bound"));
    }
    if bounds.len() > MOST_BOUNDS {
        let why = format!(
            "{} bucket bounds, more than the {MOST_BOUNDS} that there may be",
            bounds.len()
        );
        return Err(Error::new_spanned(array, why));
    }
    let mut before = None;
    for (element, &bound) in array.elems.iter_mut().zip(bounds) {
        let why = match before {
            _ if !bound.is_finite() => Some(
                "this bound is not finite; `+Inf` is always there, and is not given".to_owned(),
            ),
            _ if bound < 0.0 => {
                Some("this bound is negative, where a histogram has no samples".to_owned())
            }
            Some(before) if bound <= before => {
                Some(format!("this bound does not lie above the one before it, {before}"))
            }
            _ => None,
        };
        if let Some(why) = why {
            return Err(Error::new_spanned(element, why));
        }
        before = Some(bound);
        if let Expr::Lit(literal) = element
            && let Lit::Int(int) = &literal.lit
        {
            let float = LitFloat::new(&format!("{}.0", int.base10_digits()), int.span());
            literal.lit = Lit::Float(float);
        }
    }
    Ok(Expr::Array(array))
}

/// Whether a metric may be named so, without being bent.
fn check_metric_name(name: &str, span: Span) -> Result<()> {
    let mut chars = name.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':');
    let why = if name.is_empty() {
        "the name of a metric is empty".to_owned()
    } else if !starts_well || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
        format!("{name:?} is no metric name: expected [a-zA-Z_:][a-zA-Z0-9_:]*")
    } else if name.chars().all(|c| c == '_') {
        format!("{name:?} names nothing")
    } else {
        return Ok(());
    };
    Err(Error::new(span, why))
}
