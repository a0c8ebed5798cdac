//! `#[instrumented_endpoint]`: what is written, checked against the function that it stands on.

mod expand;
mod parse;

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt as _;
use syn::{Error, Expr, ImplItemFn, Item, Result, ReturnType, TraitItem, Type, TypeParamBound};

use crate::label::check_name;
use parse::{Arguments, Label};

/// Longest name of an endpoint, in bytes.
const LONGEST_NAME: usize = 128;

/// An endpoint that can be expanded.
struct Endpoint {
    function: ImplItemFn,
    name: String,
    scope: Option<Expr>,
    labels: Vec<Label>,
    returns: Returns,
}

/// What the function returns, as far as the call's end depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    /// A value, or a response; the call's end is found by the value's type.
    Value,
    /// Nothing, ever.
    Never,
    /// A stream. It is boxed again if it came boxed, and may be in an `Ok`.
    Stream { boxed: bool, fallible: bool },
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match Endpoint::read(arguments, item.clone()) {
        Ok(endpoint) => expand::expand(endpoint),
        // The item is kept, so that a bad argument is one error and not twenty.
        Err(error) => error.into_compile_error().into_iter().chain(item).collect(),
    }
}

impl Endpoint {
    fn read(arguments: TokenStream, item: TokenStream) -> Result<Self> {
        let function = function(item)?;
        let arguments: Arguments = syn::parse2(arguments)?;
        let signature = &function.sig;
        if let Some(constant) = &signature.constness {
            return Err(Error::new_spanned(constant, "a const fn cannot be measured"));
        }
        if signature.asyncness.is_none() {
            return Err(Error::new_spanned(
                signature.fn_token,
                "expected an `async fn`; other functions are not supported yet",
            ));
        }
        let name = match &arguments.name {
            Some(name) => {
                check_endpoint_name(&name.value(), name.span())?;
                name.value()
            }
            None => signature.ident.unraw().to_string(),
        };
        let labels = arguments.labels.unwrap_or_default();
        for (i, label) in labels.iter().enumerate() {
            let label_name = label.name.unraw().to_string();
            let taken = matches!(label_name.as_str(), "outcome" | "error_type")
                .then(|| format!("label name {label_name:?} is set by the endpoint itself"));
            if let Some(why) = taken.or_else(|| check_name(&label_name).err()) {
                return Err(Error::new(label.name.span(), why));
            }
            if labels[..i].iter().any(|other| other.name.unraw() == label_name) {
                let why = format!("label `{label_name}` is given twice");
                return Err(Error::new(label.name.span(), why));
            }
        }
        let returns = Returns::read(&signature.output, arguments.stream)?;
        Ok(Self { name, scope: arguments.scope, labels, returns, function })
    }
}

/// The function that the attribute stands on: free, or in an impl.
fn function(item: TokenStream) -> Result<ImplItemFn> {
    let error = match syn::parse2::<ImplItemFn>(item.clone()) {
        Ok(function) => return Ok(function),
        Err(error) => error,
    };
    if let Ok(TraitItem::Fn(declaration)) = syn::parse2::<TraitItem>(item.clone())
        && declaration.default.is_none()
    {
        return Err(Error::new_spanned(
            declaration.sig,
            "a declaration has nothing to measure: put the attribute on the implementation",
        ));
    }
    match syn::parse2::<Item>(item) {
        Ok(Item::Fn(_)) | Err(_) => Err(error),
        Ok(other) => Err(Error::new_spanned(other, "expected an `async fn`")),
    }
}

impl Returns {
    fn read(output: &ReturnType, forced: Option<Span>) -> Result<Self> {
        let ReturnType::Type(_, output) = output else {
            return match forced {
                Some(span) => Err(Error::new(span, "`stream` on a function that returns nothing")),
                None => Ok(Self::Value),
            };
        };
        if matches!(bare(output), Type::Never(_)) {
            return Ok(Self::Never);
        }
        let (value, fallible) = match ok_type(output) {
            Some(value) => (value, true),
            None => (&**output, false),
        };
        if let Some(boxed) = is_stream(value) {
            return Ok(Self::Stream { boxed, fallible });
        }
        match forced {
            Some(span) if names(value, |name| name == "IntoResponse") => Err(Error::new(
                span,
                "`stream` is for functions that return a stream: return `Response`, whose body \
                 is measured to its end without it",
            )),
            // A trait of another name may well be a stream's.
            Some(_) if names(value, |_| true) => Ok(Self::Stream { boxed: false, fallible }),
            Some(span) => Err(Error::new(
                span,
                "`stream` needs a return type that a measured stream fits into: `impl Stream`, or \
                 a boxed one",
            )),
            None => Ok(Self::Value),
        }
    }
}

/// A type without the parentheses, seen or not, that it came in.
fn bare(mut written: &Type) -> &Type {
    loop {
        written = match written {
            Type::Paren(it) => &it.elem,
            Type::Group(it) => &it.elem,
            other => return other,
        };
    }
}

/// `T` of a type that is written `..Result<T, ..>`.
fn ok_type(output: &Type) -> Option<&Type> {
    let Type::Path(path) = bare(output) else {
        return None;
    };
    let last = path.path.segments.last().filter(|last| last.ident == "Result")?;
    type_argument(last)
}

/// Whether a type is written as a stream, and if so, whether as a boxed one.
fn is_stream(output: &Type) -> Option<bool> {
    match bare(output) {
        Type::ImplTrait(it) => bounds_name(&it.bounds, |name| name == "Stream").then_some(false),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            if last.ident == "BoxStream" || last.ident == "LocalBoxStream" {
                return Some(true);
            }
            // `Pin<Box<dyn Stream>>`.
            let inner = type_argument(last).filter(|_| last.ident == "Pin")?;
            let Type::Path(inner) = inner else {
                return None;
            };
            let inner = inner.path.segments.last().filter(|inner| inner.ident == "Box")?;
            match type_argument(inner)? {
                Type::TraitObject(it) => {
                    bounds_name(&it.bounds, |name| name == "Stream").then_some(true)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn type_argument(segment: &syn::PathSegment) -> Option<&Type> {
    let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        syn::GenericArgument::Type(inner) => Some(bare(inner)),
        _ => None,
    })
}

/// Whether a type is written as `impl` of a trait of such a name.
fn names(written: &Type, fits: impl Fn(&str) -> bool) -> bool {
    matches!(bare(written), Type::ImplTrait(it) if bounds_name(&it.bounds, fits))
}

fn bounds_name<'a>(
    bounds: impl IntoIterator<Item = &'a TypeParamBound>,
    fits: impl Fn(&str) -> bool,
) -> bool {
    bounds.into_iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|last| fits(&last.ident.to_string()))
        }
        _ => false,
    })
}

fn check_endpoint_name(name: &str, span: Span) -> Result<()> {
    let why = if name.is_empty() {
        "the name of an endpoint is empty"
    } else if name.len() > LONGEST_NAME {
        "the name of an endpoint is longer than 128 bytes"
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        "the name of an endpoint has blanks or control characters"
    } else {
        return Ok(());
    };
    Err(Error::new(span, why))
}
