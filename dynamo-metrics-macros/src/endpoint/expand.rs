//! The function that comes out: the one that went in, with its body measured.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Expr, FnArg, Ident, Lit, PatIdent, ReturnType, Signature, Type, parse_quote,
    parse_quote_spanned,
};

use super::{Endpoint, Label, Returns, bare};

pub(super) fn expand(endpoint: Endpoint) -> TokenStream {
    let Endpoint { mut function, name, scope, labels, returns } = endpoint;
    // Names that nothing the caller wrote can see or shadow.
    let call = Ident::new("call", Span::mixed_site());
    let value = Ident::new("value", Span::mixed_site());
    let here = Ident::new("here", Span::mixed_site());

    let scope = scope.map_or_else(
        || quote!(::dynamo_metrics::__private::global()),
        |scope| quote_spanned!(at(scope.span())=> &#scope),
    );
    let labels = labels.iter().map(label);
    // Without the user's braces, which the compiler would call superfluous around one expression.
    let (body, statements) = (&function.block, &function.block.stmts);
    let inner = quote_spanned!(at(body.span())=> { #(#statements)* });
    let fake_return = fake_return(&function.sig.output);
    let wholes = mutable_names(&function.sig);
    let finish = finish(returns, &value, &call);
    // The user's own span, so that the compiler still names the variables of a borrow error.
    let block =
        quote_spanned!(body.span()=> async move { #fake_return #(let _ = &#wholes;)* #inner });
    function.block = parse_quote_spanned!(at(body.span())=> {
        // By `match`, so that the scope may be any place or value that is, or leads to, a scope.
        let #call = match #scope {
            #here => {
                static __DYNAMO_METRICS_SITE: ::dynamo_metrics::__private::Site =
                    ::dynamo_metrics::__private::Site::new();
                ::dynamo_metrics::__private::start(
                    &__DYNAMO_METRICS_SITE, #here, #name, &[#(#labels),*],
                )
            }
        };
        let #value = #block.await;
        #finish
    });
    function.into_token_stream()
}

/// Arguments that the body may assign to. A block that moves captures fields one by one, and the
/// compiler would warn of assignments to a field that nobody else reads; named once, they are
/// captured whole, as the function has them.
fn mutable_names(signature: &Signature) -> Vec<Ident> {
    struct Names(Vec<Ident>);

    impl<'ast> Visit<'ast> for Names {
        fn visit_pat_ident(&mut self, it: &'ast PatIdent) {
            if it.mutability.is_some() {
                self.0.push(it.ident.clone());
            }
            visit::visit_pat_ident(self, it);
        }
    }

    let mut names = Names(Vec::new());
    for input in &signature.inputs {
        match input {
            FnArg::Receiver(it) if it.mutability.is_some() => {
                names.0.push(Ident::new("self", it.self_token.span()));
            }
            FnArg::Receiver(_) => {}
            FnArg::Typed(it) => names.visit_pat(&it.pat),
        }
    }
    names.0
}

/// Where errors are to point, for tokens that are not the user's: lints leave them alone.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

fn label(label: &Label) -> TokenStream {
    let name = label.name.unraw().to_string();
    let mut value = &label.value;
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    match value {
        Expr::Lit(literal) if matches!(literal.lit, Lit::Str(_)) => quote!((#name, #value)),
        value => quote_spanned! {at(value.span())=>
            (#name, ::dynamo_metrics::__private::LabelValue::as_label(&#value))
        },
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

fn finish(returns: Returns, value: &Ident, call: &Ident) -> TokenStream {
    let (boxed, fallible) = match returns {
        Returns::Stream { boxed, fallible } => (boxed, fallible),
        Returns::Never => return quote!(#value),
        Returns::Value => {
            // The methods have names that no trait in the caller's scope has.
            return quote! {{
                #[allow(unused_imports)]
                use ::dynamo_metrics::__private::{
                    ByResult as _, ByStatus as _, ByValue as _, ToBodyEnd as _,
                };
                (&&&&::dynamo_metrics::__private::Tag::of(&#value))
                    .__dynamo_metrics_kind()
                    .__dynamo_metrics_finish(#call, #value)
            }};
        }
    };
    let stream = Ident::new("stream", Span::mixed_site());
    let metered = quote! {
        ::dynamo_metrics::__private::metered(#call, #stream, |item| {
            #[allow(unused_imports)]
            use ::dynamo_metrics::__private::{IsResult as _, IsValue as _};
            (&&::dynamo_metrics::__private::Tag::of(item)).__dynamo_metrics_is_error(item)
        })
    };
    let metered = if boxed { quote!(::std::boxed::Box::pin(#metered) as _) } else { metered };
    if !fallible {
        return quote!({ let #stream = #value; #metered });
    }
    quote! {
        match #value {
            ::core::result::Result::Ok(#stream) => ::core::result::Result::Ok(#metered),
            ::core::result::Result::Err(error) => {
                ::dynamo_metrics::__private::fail(#call);
                ::core::result::Result::Err(error)
            }
        }
    }
}

/// Replaces `impl Trait`, which cannot stand in a `let`, by `_`.
struct EraseImplTrait;

impl VisitMut for EraseImplTrait {
    fn visit_type_mut(&mut self, it: &mut Type) {
        if let Type::ImplTrait(_) = it {
            *it = parse_quote!(_);
        } else {
            visit_mut::visit_type_mut(self, it);
        }
    }
}
