//! The function that comes out: the one that went in, with its body measured.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Block, Expr, ExprArray, ExprAsync, ExprField, ExprLit, FnArg, Ident, ImplItemFn,
    Item, Lit, LitFloat, PatIdent, ReturnType, Stmt, Token, Type, parse_quote, parse_quote_spanned,
};

use super::Endpoint;
use super::finish::Code;
use super::parse::{Arguments, Cancelled, Objective};
use super::returns::{Kind, Returns, bare, outlives};

/// How the body is made to come back here, whatever way it is left.
enum Form {
    Closure,
    Async(Option<Token![move]>),
}

pub(super) fn expand(endpoint: Endpoint) -> TokenStream {
    let code = Code::new(&endpoint.home, &endpoint.arguments);
    let begin = begin(&code, &endpoint);
    // A future that outlives what the function was lent cannot look at it.
    let late = !(outlives(&endpoint.function.sig.output) && names_parameters(&endpoint));
    let Endpoint { mut function, returns, .. } = endpoint;
    let wholes = assigned_names(&function);
    let output = function.sig.output.clone();
    let span = at(function.block.span());
    let mut body = std::mem::replace(&mut function.block, parse_quote!({}));
    let braces = body.brace_token;
    let form = match function.sig.asyncness {
        Some(_) => Form::Async(Some(Token![move](span))),
        None => Form::Closure,
    };
    let nested = match &returns.kind {
        Kind::Future { output, output_type, .. } => {
            // Of what is not written, only the whole function says what it is.
            let is_written = !matches!(**output_type, Type::Infer(_));
            let alone = body.stmts.len() == 1 && is_written && late;
            tail(&mut body).map(|tail| (tail, alone, is_written, output, output_type))
        }
        _ => None,
    };
    let alone = nested.is_some_and(|(tail, alone, is_written, returns, output)| {
        let form = Form::Async(tail.capture);
        let output = ReturnType::Type(Token![->](span), output.clone());
        if alone {
            let whole = std::mem::replace(&mut tail.block, parse_quote!({}));
            tail.block = around(&code, &begin, whole, &form, returns, &output, &[]);
            // What the start of the call names is the block's own.
            tail.capture = Some(Token![move](span));
        } else if let Some(fake_return) = fake_return(&output).filter(|_| is_written) {
            tail.block.stmts.insert(0, parse_quote!(#fake_return));
        }
        alone
    });
    function.block =
        if alone { body } else { around(&code, &begin, body, &form, &returns, &output, &wholes) };
    // The user's own, for else the whole function would pass for one that a macro wrote, and lints
    // would spare it.
    function.block.brace_token = braces;
    function.into_token_stream()
}

/// The block of a function's last expression, if that is an `async` block, boxed or not. If it is
/// the only one, nothing has run before it is polled.
fn tail(body: &mut Block) -> Option<&mut ExprAsync> {
    let Some(Stmt::Expr(tail, None)) = body.stmts.last_mut() else { return None };
    match tail {
        Expr::Async(block) => Some(block),
        Expr::Call(call) => {
            let Expr::Path(path) = &*call.func else { return None };
            let mut names = path.path.segments.iter().rev().map(|segment| &segment.ident);
            if !(names.next()? == "pin" && names.next()? == "Box" && call.args.len() == 1) {
                return None;
            }
            match call.args.first_mut()? {
                Expr::Async(block) => Some(block),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `body`, measured.
fn around(
    code: &Code,
    begin: &TokenStream,
    mut body: Block,
    form: &Form,
    returns: &Returns,
    output: &ReturnType,
    wholes: &[Ident],
) -> Block {
    let (home, call, value) = (&code.home, &code.call, &code.value);
    let import = &code.import;
    let follows = match returns.kind {
        Kind::Sse { boxed } => code.follow(&mut body, boxed),
        _ => false,
    };
    let (span, statements) = (body.span(), &body.stmts);
    let wholes = quote!(#(let _ = &#wholes;)*);
    // The user's own span, so that the compiler still names the variables of a borrow error.
    let run = match form {
        Form::Async(capture) => {
            let fake_return = fake_return(output);
            // Without the user's braces, which the compiler would call superfluous around one
            // expression.
            let inner = quote_spanned!(at(span)=> { #(#statements)* });
            let block = quote_spanned!(span=> async #capture { #fake_return #wholes #inner });
            quote!(#block.await)
        }
        Form::Closure => match output {
            ReturnType::Default => {
                let block = quote_spanned!(span=> move || { #wholes #(#statements)* });
                quote!(#home::run::<(), _>(#block))
            }
            ReturnType::Type(_, output) => {
                let mut output = output.clone();
                EraseImplTrait.visit_type_mut(&mut output);
                let arrow = quote_spanned!(at(output.span())=> -> #output);
                let block = quote_spanned!(span=> move || #arrow { #wholes #(#statements)* });
                quote!(#home::run(#block))
            }
        },
    };
    if let Kind::Never = returns.kind {
        return parse_quote_spanned!(at(span)=> { #import #begin #run });
    }
    let finish = code.finish(returns);
    if !follows {
        return parse_quote_spanned!(at(span)=> { #import #begin let #value = #run; #finish });
    }
    let (slot, place) = (&code.slot, &code.place);
    parse_quote_spanned! {at(span)=> {
        #import
        #begin
        let mut #slot = ::core::option::Option::Some(#call);
        let #place = &mut #slot;
        let #value = #run;
        let #call = #home::take(&mut #slot);
        #finish
    }}
}

/// The start of the call.
fn begin(code: &Code, endpoint: &Endpoint) -> TokenStream {
    let Endpoint { name, arguments, .. } = endpoint;
    let (home, call) = (&code.home, &code.call);
    let labels = endpoint.labels.iter().map(|(name, value)| label(home, name, value));
    let choices = choices(home, arguments, &endpoint.help);
    let (scope, span) = match &arguments.scope {
        Some(scope) => {
            let (scope, span) = (operand(scope), at(scope.span()));
            (quote_spanned!(span=> &#scope), span)
        }
        // What the crate has for all its endpoints, if it has that, is nearer than what we have.
        None => (
            quote! {{
                #[allow(unused_imports)]
                use #home::__dynamo_metrics_scope;
                {
                    #[allow(unused_imports, clippy::wildcard_imports)]
                    use crate::*;
                    __dynamo_metrics_scope()
                }
            }},
            Span::mixed_site(),
        ),
    };
    let here = Ident::new("here", span);
    let traced =
        arguments.exemplar.as_ref().and_then(|exemplar| exemplar.trace.as_ref()).map(
            |trace| quote_spanned!(at(trace.span())=> let #call = #home::traced(#call, #trace);),
        );
    let started =
        quote_spanned!(span=> #home::start(&__DYNAMO_METRICS_SITE, #here, &[#(#labels),*]));
    quote! {
        // By `match`, so that the scope may be any place or value that is, or leads to, a scope.
        let #call = match #scope {
            #here => {
                static __DYNAMO_METRICS_SITE: #home::Site =
                    #home::Site::new(#name, #choices);
                #started
            }
        };
        #traced
    }
}

/// What is chosen, where it is not what it would be without.
fn choices(home: &TokenStream, arguments: &Arguments, help: &str) -> TokenStream {
    let mut choices = quote!(#home::Choices::new());
    if !help.is_empty() {
        choices.extend(quote!(.help(#help)));
    }
    match arguments.cancelled {
        None | Some(Cancelled::Separate) => {}
        Some(Cancelled::Error) => choices.extend(quote!(.cancelled(#home::Cancelled::Error))),
        Some(Cancelled::Ignore) => choices.extend(quote!(.cancelled(#home::Cancelled::Ignore))),
    }
    if let Some(in_flight) = arguments.in_flight {
        choices.extend(quote!(.in_flight(#in_flight)));
    }
    if let Some(buckets) = &arguments.buckets {
        let mut add = |key: &str, bounds: &Expr| {
            let key = Ident::new(key, Span::mixed_site());
            let bounds = operand(&floats(bounds));
            let span = at(bounds.span());
            let home = path_at(home, span);
            let checked = quote_spanned!(span=> #home::time_bounds(&#bounds));
            choices.extend(quote!(.#key({ const __DYNAMO_METRICS_BOUNDS: &[::core::primitive::f64] = #checked; __DYNAMO_METRICS_BOUNDS })));
        };
        if let Some(bounds) = &buckets.duration {
            add("duration_buckets", bounds);
        }
        if let Some((_, bounds)) = &buckets.ttft {
            add("first_token_buckets", bounds);
        }
        if let Some((_, bounds)) = &buckets.itl {
            add("inter_token_buckets", bounds);
        }
    }
    for (objective, _, at_most) in &arguments.slo {
        let (seconds, nanos) = (at_most.as_secs(), at_most.subsec_nanos());
        let key = match objective {
            Objective::Ttft => quote!(slo_ttft),
            Objective::Itl => quote!(slo_itl),
            Objective::Tpot => quote!(slo_tpot),
            Objective::E2e => quote!(slo_e2e),
        };
        choices.extend(quote!(.#key(::core::time::Duration::new(#seconds, #nanos))));
    }
    if arguments.exemplar.is_some() {
        choices.extend(quote!(.exemplars()));
    }
    if arguments.stream.as_ref().is_some_and(|stream| stream.push) {
        choices.extend(quote!(.pushes()));
    }
    if arguments.stream.as_ref().is_some_and(|stream| stream.count.is_some()) {
        choices.extend(quote!(.counts()));
    }
    choices
}

/// An expression that may stand after `&`.
fn operand(expression: &Expr) -> Expr {
    match expression {
        Expr::Binary(_)
        | Expr::Cast(_)
        | Expr::Range(_)
        | Expr::Assign(_)
        | Expr::Closure(_)
        | Expr::Struct(_) => {
            parse_quote_spanned!(at(expression.span())=> (#expression))
        }
        other => other.clone(),
    }
}

/// Bounds as floats, where they are written as whole numbers.
fn floats(bounds: &Expr) -> Expr {
    let Expr::Array(array) = bounds else { return bounds.clone() };
    let elems = array.elems.iter().map(|element| match element {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) if number.suffix().is_empty() => {
            let float = LitFloat::new(&format!("{}.0", number.base10_digits()), number.span());
            parse_quote!(#float)
        }
        other => other.clone(),
    });
    Expr::Array(ExprArray { elems: elems.collect(), ..array.clone() })
}

/// Whether a function's body was measured before.
pub(super) fn is_measured(body: &mut Block) -> bool {
    let is = |body: &Block| {
        let Some(Stmt::Item(Item::Use(it))) = body.stmts.first() else { return false };
        it.tree.to_token_stream().to_string().ends_with("__private as __dynamo_metrics")
    };
    is(body) || tail(body).is_some_and(|tail| is(&tail.block))
}

/// Whether what starts a call names what the function was called with.
fn names_parameters(endpoint: &Endpoint) -> bool {
    let exemplar = endpoint.arguments.exemplar.as_ref();
    let trace = exemplar.and_then(|exemplar| exemplar.trace.as_ref());
    let labels = endpoint.labels.iter().map(|(_, value)| value);
    let mut parameters = super::parameters(&endpoint.function);
    parameters.push(Ident::new("self", Span::call_site()));
    let mut named = endpoint.arguments.scope.iter().chain(trace).chain(labels);
    named.any(|expression| super::names(expression.to_token_stream(), &parameters))
}

/// Arguments that the body assigns to a part of. A block that moves captures fields one by one, and
/// the compiler would warn of assignments to a field that nobody else reads; named once, they are
/// captured whole, as the function has them.
fn assigned_names(function: &ImplItemFn) -> Vec<Ident> {
    struct Names {
        mutable: Vec<Ident>,
        assigned: Vec<Ident>,
    }

    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, it: &'ast PatIdent) {
            if it.mutability.is_some() {
                self.mutable.push(it.ident.clone());
            }
            visit::visit_pat_ident(self, it);
        }

        // `a.b = c` and `a.b += c`, wherever they stand.
        fn visit_expr_field(&mut self, it: &'ast ExprField) {
            if let Expr::Path(path) = &*it.base
                && let Some(name) = path.path.get_ident()
                && self.mutable.contains(name)
                && !self.assigned.contains(name)
            {
                self.assigned.push(name.clone());
            }
            visit::visit_expr_field(self, it);
        }
    }

    let mut names = Names { mutable: Vec::new(), assigned: Vec::new() };
    let is_cfg = |attribute: &Attribute| attribute.path().is_ident("cfg");
    for input in &function.sig.inputs {
        match input {
            FnArg::Receiver(it) if it.mutability.is_some() => {
                names.mutable.push(Ident::new("self", it.self_token.span()));
            }
            FnArg::Typed(it) if !it.attrs.iter().any(is_cfg) => names.visit_pat(&it.pat),
            _ => {}
        }
    }
    names.visit_block(&function.block);
    names.assigned
}

/// Where errors are to point, for tokens that are not the user's: lints leave them alone.
pub(super) fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// A path whose errors are to point there.
pub(super) fn path_at(path: &TokenStream, span: Span) -> TokenStream {
    let tokens = path.clone().into_iter().map(|mut token| {
        token.set_span(token.span().located_at(span));
        token
    });
    tokens.collect()
}

fn label(home: &TokenStream, name: &Ident, value: &Expr) -> TokenStream {
    let name = name.unraw().to_string();
    let mut value = value;
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    match value {
        Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => quote!((#name, #value)),
        value => {
            let value = operand(value);
            let home = path_at(home, at(value.span()));
            quote_spanned!(at(value.span())=> (#name, #home::LabelValue::as_label(&#value)))
        }
    }
}

/// An edge that is never taken, by which the compiler knows the block's type before it reads the
/// block: without it `?` cannot tell what to convert to, and errors point elsewhere.
fn fake_return(output: &ReturnType) -> Option<TokenStream> {
    let mut output: Type = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    if matches!(bare(&output), Type::Never(_)) {
        return None;
    }
    EraseImplTrait.visit_type_mut(&mut output);
    let never = Ident::new("never", at(output.span()));
    Some(quote_spanned! {at(output.span())=>
        #[allow(
            unknown_lints,
            unreachable_code,
            clippy::diverging_sub_expression,
            clippy::empty_loop,
            clippy::let_unit_value,
            clippy::let_with_type_underscore,
            clippy::needless_return,
            clippy::unreachable
        )]
        if false {
            let #never: #output = loop {};
            return #never;
        }
    })
}

/// Replaces `impl Trait`, which cannot stand in a `let`, by `_`.
pub(super) struct EraseImplTrait;

impl VisitMut for EraseImplTrait {
    fn visit_type_mut(&mut self, it: &mut Type) {
        if let Type::ImplTrait(_) = it {
            *it = parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, it);
        }
    }
}
