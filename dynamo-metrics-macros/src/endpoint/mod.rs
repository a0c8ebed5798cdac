//! `#[instrumented_endpoint]`: what is written, checked against the function that it stands on.

mod block;
mod expand;
mod finish;
mod home;
mod parse;
mod returns;

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::ext::IdentExt as _;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Error, Expr, FnArg, ForeignItemFn, Ident, ImplItemFn, Item, PatIdent, Result,
};

use crate::docs::Docs;
use crate::label::check_name;
use parse::{Arguments, Buckets, Label, Objective};
use returns::Returns;

/// Longest name of an endpoint, in bytes.
const LONGEST_NAME: usize = 128;

/// One function is one endpoint.
const TWICE: &str = "the attribute is given twice: one function is one endpoint";

/// Labels that the metrics of an endpoint have besides.
const OF_ENDPOINTS: [&str; 8] =
    ["outcome", "error_type", "phase", "reason", "finish_reason", "slo", "met", "help"];

/// An endpoint that can be expanded.
struct Endpoint {
    function: ImplItemFn,
    name: String,
    help: String,
    /// What is not in the other fields.
    arguments: Arguments,
    labels: Vec<(Ident, Expr)>,
    returns: Returns,
    /// Where the crate is.
    home: TokenStream,
}

pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    match read(arguments, item.clone()) {
        Ok(measured) => measured,
        // The item is kept, so that a bad argument is one error and not twenty.
        Err(error) => error.into_compile_error().into_iter().chain(block::bare(item)).collect(),
    }
}

fn read(arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let error = match syn::parse2::<ImplItemFn>(item.clone()) {
        Ok(function) => {
            let arguments: Arguments = syn::parse2(arguments)?;
            if let Some(span) = arguments.skip {
                let why = "`skip` is for the functions of an impl block that is measured";
                return Err(Error::new(span, why));
            }
            let name = function.sig.ident.unraw().to_string();
            return Endpoint::read(function, name, arguments, None).map(expand::expand);
        }
        Err(error) => error,
    };
    if let Ok(declaration) = syn::parse2::<ForeignItemFn>(item.clone()) {
        return Err(Error::new(
            declaration.sig.ident.span(),
            "a declaration has nothing to measure: put the attribute on the implementation",
        ));
    }
    match syn::parse2::<Item>(item) {
        Ok(Item::Impl(it)) => block::expand(it, &syn::parse2(arguments)?),
        Ok(Item::Fn(_)) | Err(_) => Err(error),
        Ok(other) => Err(Error::new_spanned(other, "expected a function or an impl block")),
    }
}

impl Endpoint {
    /// An endpoint of a function; what is not said of it may be said of its whole block.
    fn read(
        mut function: ImplItemFn,
        default_name: String,
        mut arguments: Arguments,
        block: Option<&Arguments>,
    ) -> Result<Self> {
        let signature = &function.sig;
        if let Some(constant) = &signature.constness {
            let why = match block {
                None => "a const fn cannot be measured",
                Some(_) => {
                    "a const fn cannot be measured: put `#[instrumented_endpoint(skip)]` on it"
                }
            };
            return Err(Error::new_spanned(constant, why));
        }
        if let Some(variadic) = &signature.variadic {
            return Err(Error::new_spanned(variadic, "a variadic function cannot be measured"));
        }
        if let Some(again) = function.attrs.iter().find(|attribute| is_ours(attribute)) {
            return Err(Error::new_spanned(again, TWICE));
        }
        // It may have another name, and have been there already.
        if expand::is_measured(&mut function.block) {
            return Err(Error::new(signature.ident.span(), TWICE));
        }
        let name = match &arguments.name {
            Some(name) => {
                check_endpoint_name(&name.value(), name.span())?;
                name.value()
            }
            None => default_name,
        };
        let futures = signature.asyncness.is_none();
        let returns = Returns::read(&signature.output, futures, arguments.stream.as_ref())?;
        let may_stream = arguments.stream.is_some() || returns.may_stream(&signature.output);
        if !may_stream {
            check_streamless(&arguments)?;
        }
        if let Some(block) = block {
            check_self(&function, &arguments, block)?;
            arguments.inherit(block, may_stream);
        }
        let labels = labels(arguments.labels.take().unwrap_or_default(), &function)?;
        let help = match arguments.help.take() {
            Some(help) => help.value(),
            None => Docs::read(&function.attrs).summary(),
        };
        let home = home::path(arguments.home.as_ref())?;
        Ok(Self { function, name, help, arguments, labels, returns, home })
    }
}

impl Arguments {
    /// Takes what is not said here from what is said of the whole block.
    fn inherit(&mut self, block: &Self, may_stream: bool) {
        let of_block = block.clone();
        self.scope = self.scope.take().or(of_block.scope);
        self.labels = self.labels.take().or(of_block.labels);
        self.verdict = self.verdict.take().or(of_block.verdict);
        self.err = self.err.take().or(of_block.err);
        self.cancelled = self.cancelled.or(of_block.cancelled);
        self.in_flight = self.in_flight.or(of_block.in_flight);
        self.exemplar = self.exemplar.take().or(of_block.exemplar);
        self.home = self.home.take().or(of_block.home);
        // What is asked of streams is asked of those functions that return one.
        self.buckets = self.buckets.take().or(of_block.buckets.map(|buckets| Buckets {
            ttft: buckets.ttft.filter(|_| may_stream),
            itl: buckets.itl.filter(|_| may_stream),
            ..buckets
        }));
        if self.slo.is_empty() {
            let asked = of_block.slo.into_iter();
            self.slo = asked.filter(|(it, ..)| may_stream || *it == Objective::E2e).collect();
        }
    }
}

/// What only streams have is not asked of a function that returns none.
fn check_streamless(arguments: &Arguments) -> Result<()> {
    let buckets = arguments.buckets.as_ref();
    let spans = buckets.and_then(|it| it.ttft.as_ref().or(it.itl.as_ref())).map(|(span, _)| *span);
    let slo = arguments.slo.iter().find(|(objective, ..)| *objective != Objective::E2e);
    match spans.or(slo.map(|(_, key, _)| key.span())) {
        None => Ok(()),
        Some(span) => Err(Error::new(
            span,
            "this function returns no stream and no response: it has no tokens to time",
        )),
    }
}

/// What is said of the block may need a `self` that a function of it does not have.
fn check_self(function: &ImplItemFn, own: &Arguments, block: &Arguments) -> Result<()> {
    if function.sig.receiver().is_some() {
        return Ok(());
    }
    let scope = block.scope.as_ref().filter(|_| own.scope.is_none());
    let labels = block.labels.iter().filter(|_| own.labels.is_none()).flatten();
    let it = [Ident::new("self", Span::call_site())];
    let needs = |expression: &Expr| names(expression.to_token_stream(), &it);
    let exemplar = block.exemplar.as_ref().filter(|_| own.exemplar.is_none());
    let needed = scope.is_some_and(needs)
        || labels.filter_map(|label| label.value.as_ref()).any(needs)
        || exemplar.and_then(|exemplar| exemplar.trace.as_ref()).is_some_and(needs);
    if needed {
        return Err(Error::new(
            function.sig.ident.span(),
            "this function has no `self`, which the block's arguments name: give it arguments of \
             its own, or `#[instrumented_endpoint(skip)]`",
        ));
    }
    Ok(())
}

/// Whether one of these names is among the tokens.
fn names(tokens: TokenStream, of: &[Ident]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names(group.stream(), of),
        TokenTree::Ident(ident) => of.contains(&ident),
        _ => false,
    })
}

/// The labels, each with its value, if they may all stand there.
fn labels(written: Vec<Label>, function: &ImplItemFn) -> Result<Vec<(Ident, Expr)>> {
    let mut labels: Vec<(Ident, Expr)> = Vec::new();
    for Label { name, value } in written {
        let text = name.unraw().to_string();
        let value = match value {
            Some(value) => value,
            None => parameter(&name, function)?,
        };
        let taken = OF_ENDPOINTS
            .contains(&text.as_str())
            .then(|| format!("label name {text:?} is set by the endpoint itself"));
        if let Some(why) = taken.or_else(|| check_name(&text).err()) {
            return Err(Error::new(name.span(), why));
        }
        if labels.iter().any(|(other, _)| other.unraw() == text) {
            return Err(Error::new(name.span(), format!("label `{text}` is given twice")));
        }
        labels.push((name, value));
    }
    Ok(labels)
}

/// The parameter, or part of one, that a label is named after.
fn parameter(name: &Ident, function: &ImplItemFn) -> Result<Expr> {
    if name == "self" || name == "_" {
        let why = format!("`{name}` is no label: write `name = value`");
        return Err(Error::new(name.span(), why));
    }
    let known = parameters(function);
    if known.iter().any(|known| known == name) {
        return Ok(syn::parse_quote!(#name));
    }
    let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
    let why = match known.len() {
        0 => "and the function has none".to_owned(),
        _ => format!("expected one of {}, or `{name} = value`", known.join(", ")),
    };
    Err(Error::new(name.span(), format!("`{name}` is no parameter of the function, {why}")))
}

/// What the patterns of a function's parameters bind.
fn parameters(function: &ImplItemFn) -> Vec<Ident> {
    struct Names(Vec<Ident>);

    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, it: &'ast PatIdent) {
            self.0.push(it.ident.clone());
            visit::visit_pat_ident(self, it);
        }
    }

    let mut names = Names(Vec::new());
    for input in &function.sig.inputs {
        if let FnArg::Typed(it) = input {
            names.visit_pat(&it.pat);
        }
    }
    names.0
}

/// Whether an attribute is this one.
fn is_ours(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|last| last.ident == "instrumented_endpoint")
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
