//! A whole impl block: each of its functions is an endpoint, unless it is skipped.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::{Error, ImplItem, ImplItemFn, Item, ItemImpl, Meta, Result, Type};

use super::parse::Arguments;
use super::returns::bare as unwrapped;
use super::{Endpoint, check_endpoint_name, expand as function, is_ours};

/// The block with its functions measured.
pub(super) fn expand(mut block: ItemImpl, arguments: &Arguments) -> Result<TokenStream> {
    check(arguments)?;
    let prefix = prefix(&block, arguments)?;
    let (mut found, mut errors): (bool, Option<Error>) = (false, None);
    for item in &mut block.items {
        let ImplItem::Fn(it) = item else { continue };
        match measured(it.clone(), &prefix, arguments) {
            Ok(Some(tokens)) => {
                found = true;
                *item = ImplItem::Verbatim(tokens);
            }
            Ok(None) => it.attrs.retain(|attribute| !is_ours(attribute)),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                None => errors = Some(error),
            },
        }
    }
    match errors {
        Some(errors) => Err(errors),
        None if found => Ok(block.into_token_stream()),
        None => {
            let why = "nothing is measured in this block: it has no function that is not skipped";
            Err(Error::new_spanned(block.impl_token, why))
        }
    }
}

/// An item that is no endpoint after all, without what was said of its functions.
pub(super) fn bare(item: TokenStream) -> TokenStream {
    let Ok(Item::Impl(mut block)) = syn::parse2::<Item>(item.clone()) else { return item };
    for item in &mut block.items {
        if let ImplItem::Fn(it) = item {
            it.attrs.retain(|attribute| !is_ours(attribute));
        }
    }
    block.into_token_stream()
}

/// A function of a block, as an endpoint; `None` if it is skipped.
fn measured(mut it: ImplItemFn, prefix: &str, block: &Arguments) -> Result<Option<TokenStream>> {
    let own = match it.attrs.iter().position(is_ours) {
        None => Arguments::default(),
        Some(at) => match it.attrs.remove(at).meta {
            Meta::Path(_) => Arguments::default(),
            Meta::List(list) => list.parse_args()?,
            Meta::NameValue(other) => {
                let why = "expected `#[instrumented_endpoint(..)]`";
                return Err(Error::new_spanned(other, why));
            }
        },
    };
    if let Some(span) = own.skip {
        return if own.is_more_than_skip() {
            Err(Error::new(span, "a function that is skipped takes no other argument"))
        } else {
            Ok(None)
        };
    }
    let name = format!("{prefix}::{}", it.sig.ident.unraw());
    let span = block.name.as_ref().map_or_else(|| it.sig.ident.span(), syn::LitStr::span);
    if own.name.is_none() {
        check_endpoint_name(&name, span)?;
    }
    Endpoint::read(it, name, own, Some(block)).map(|endpoint| Some(function::expand(endpoint)))
}

/// Refuses what can only be said of one function.
fn check(arguments: &Arguments) -> Result<()> {
    let stream = arguments.stream.as_ref().map(|stream| ("stream", stream.span));
    let help = arguments.help.as_ref().map(|help| ("help", help.span()));
    let skip: Option<(&str, Span)> = arguments.skip.map(|span| ("skip", span));
    match stream.or(help).or(skip) {
        None => Ok(()),
        Some((key, span)) => {
            Err(Error::new(span, format!("`{key}` is said of one function, and not of a block")))
        }
    }
}

/// What the endpoints' names begin with: the type's name, or what is said.
fn prefix(block: &ItemImpl, arguments: &Arguments) -> Result<String> {
    if let Some(name) = &arguments.name {
        check_endpoint_name(&name.value(), name.span())?;
        return Ok(name.value());
    }
    let mut written = unwrapped(&block.self_ty);
    while let Type::Reference(it) = written {
        written = unwrapped(&it.elem);
    }
    match written {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.unraw().to_string()),
        _ => None,
    }
    .ok_or_else(|| Error::new_spanned(written, "this type has no name: give the block a `name`"))
}
