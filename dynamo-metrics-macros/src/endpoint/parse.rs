//! The arguments of `#[instrumented_endpoint]`, as they are written.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Result, Token, parenthesized};

use crate::text::nearest;

/// Every argument there is.
const KNOWN: [&str; 4] = ["name", "scope", "labels", "stream"];

/// Arguments of `#[tracing::instrument]`, which people will try.
const OF_TRACING: [&str; 10] = [
    "skip_all",
    "level",
    "target",
    "parent",
    "fields",
    "ret",
    "follows_from",
    "skip",
    "err",
    "span",
];

#[derive(Default)]
pub(super) struct Arguments {
    pub(super) name: Option<LitStr>,
    pub(super) scope: Option<Expr>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) stream: Option<Span>,
}

/// `name = value`.
pub(super) struct Label {
    pub(super) name: Ident,
    pub(super) value: Expr,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key = input.call(Ident::parse_any)?;
            match key.to_string().as_str() {
                "name" => set_once(&mut arguments.name, &key, || {
                    input.parse::<Token![=]>()?;
                    input.parse()
                })?,
                "scope" => set_once(&mut arguments.scope, &key, || {
                    input.parse::<Token![=]>()?;
                    input.parse()
                })?,
                "labels" => set_once(&mut arguments.labels, &key, || {
                    let content;
                    parenthesized!(content in input);
                    let labels = Punctuated::<Label, Token![,]>::parse_terminated(&content)?;
                    Ok(labels.into_iter().collect())
                })?,
                "stream" => set_once(&mut arguments.stream, &key, || Ok(key.span()))?,
                unknown => return Err(Error::new(key.span(), unknown_key(unknown))),
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Parse for Label {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        refuse_formatted(input)?;
        let name = input.call(Ident::parse_any)?;
        input.parse::<Token![=]>()?;
        refuse_formatted(input)?;
        Ok(Self { name, value: input.parse()? })
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

fn unknown_key(key: &str) -> String {
    let all = "expected one of `name`, `scope`, `labels`, `stream`";
    if OF_TRACING.contains(&key) {
        return format!(
            "`{key}` is an argument of `#[tracing::instrument]`: put that attribute beside this \
             one; {all}"
        );
    }
    match nearest(key, &KNOWN) {
        Some(known) => format!("unknown argument `{key}`, did you mean `{known}`?"),
        None => format!("unknown argument `{key}`, {all}"),
    }
}
