//! The function that comes out: the one that went in, with its body measured.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Ident, Lit, ReturnType, Type, parse_quote, parse_quote_spanned};

use super::{Endpoint, Label, Returns};

pub(super) fn expand(endpoint: Endpoint) -> TokenStream {
    let Endpoint { mut function, name, scope, labels, returns } = endpoint;
    // Names that nothing the caller wrote can see or shadow.
    let call = Ident::new("call", Span::mixed_site());
    let value = Ident::new("value", Span::mixed_site());

    let scope = scope.map_or_else(
        || quote!(::dynamo_metrics::__private::global()),
        |scope| quote_spanned!(at(scope.span())=> &#scope),
    );
    let labels = labels.iter().map(label);
    let body = &function.block;
    let fake_return = fake_return(&function.sig.output);
    let finish = finish(returns, &value, &call);
    function.block = parse_quote_spanned!(at(body.span())=> {
        let #call = ::dynamo_metrics::__private::start(#scope, #name, &[#(#labels),*]);
        let #value = async move {
            #fake_return
            #body
        }
        .await;
        #finish
    });
    function.into_token_stream()
}

/// Where errors are to point, for tokens that are not the user's: lints leave them alone.
fn at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

fn label(label: &Label) -> TokenStream {
    let (name, value) = (label.name.to_string(), &label.value);
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
    if matches!(output, Type::Never(_)) {
        return None;
    }
    EraseImplTrait.visit_type_mut(&mut output);
    let never = Ident::new("never", Span::mixed_site());
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
    let Returns::Stream { boxed, fallible } = returns else {
        return quote! {{
            #[allow(unused_imports)]
            use ::dynamo_metrics::__private::{
                ByResult as _, ByStatus as _, ByValue as _, ToBodyEnd as _,
            };
            (&&&&::dynamo_metrics::__private::Tag::of(&#value)).kind().finish(#call, #value)
        }};
    };
    let stream = Ident::new("stream", Span::mixed_site());
    let metered = quote! {
        ::dynamo_metrics::__private::metered(#call, #stream, |item| {
            #[allow(unused_imports)]
            use ::dynamo_metrics::__private::{IsResult as _, IsValue as _};
            (&&::dynamo_metrics::__private::Tag::of(item)).is_error(item)
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
