//! The end of a call: what its value says, and what goes on after it.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprAsync, ExprCall, ExprClosure, Ident, Item, parse_quote};

use super::expand::{EraseImplTrait, at, path_at};
use super::parse::{Arguments, Stream, Unit, Verdict};
use super::returns::{Kind, Returns};

/// What the code around a body is made of. The names are such that nothing the caller wrote can see
/// or shadow them.
pub(super) struct Code {
    /// Brings in what generated code calls: once, so that a path that leads nowhere is one error.
    pub(super) import: TokenStream,
    /// What that is called.
    pub(super) home: TokenStream,
    pub(super) call: Ident,
    pub(super) value: Ident,
    pub(super) slot: Ident,
    pub(super) place: Ident,
    status: Ident,
    verdict: Option<Verdict>,
    err: Option<Expr>,
    stream: Option<Stream>,
}

impl Code {
    pub(super) fn new(home: &TokenStream, arguments: &Arguments) -> Self {
        let name = |text| Ident::new(text, Span::mixed_site());
        Self {
            import: quote!(use #home::__private as __dynamo_metrics;),
            home: quote!(__dynamo_metrics),
            call: name("call"),
            value: name("value"),
            slot: name("slot"),
            place: name("place"),
            status: name("status"),
            verdict: arguments.verdict.clone(),
            err: arguments.err.clone(),
            stream: arguments.stream.clone(),
        }
    }

    /// The value, with the call ended by it or gone on into it.
    pub(super) fn finish(&self, returns: &Returns) -> TokenStream {
        let (home, call, value) = (&self.home, &self.call, &self.value);
        if let Kind::Future { boxed, output, output_type } = &returns.kind {
            let finish = self.finish(output);
            let mut of = (**output_type).clone();
            EraseImplTrait.visit_type_mut(&mut of);
            // With its type, which nothing else may say.
            let done = quote!(move |#call, #value: #of| -> #of { #finish });
            let future = quote!(#home::measured(#value, #call, #done));
            return if *boxed { boxed_again(&future, Span::mixed_site()) } else { future };
        }
        let judged = self.verdict.as_ref().map(|Verdict { key, ok, predicate }| {
            let span = at(predicate.span());
            let (home, value) = (path_at(home, span), located(value, span));
            let judge = Ident::new(if *ok { "ok_if" } else { "error_if" }, at(key.span()));
            quote_spanned!(span=> let #call = #home::#judge(#call, &#value, #predicate);)
        });
        let named = self.err.as_ref().map(|label| {
            let span = at(label.span());
            let (home, value) = (path_at(home, span), located(value, span));
            let status = &self.status;
            quote_spanned! {span=>
                let #call = #home::error_label(#call, &#value, #status, #label);
            }
        });
        let asks = returns.fallible || !returns.kind.is_stream() || named.is_some();
        let (status, end) = (asks.then(|| self.ask_status()), self.end(returns));
        quote!({ #judged #status #named #end })
    }

    fn end(&self, returns: &Returns) -> TokenStream {
        let (home, call, value) = (&self.home, &self.call, &self.value);
        let measured = match returns.kind {
            Kind::Stream { boxed } => self.metered(&quote!(#value), &quote!(#call), boxed),
            Kind::Bytes { boxed } => {
                let span = self.unit_span();
                let (home, value) = (path_at(home, span), located(value, span));
                let stream = quote_spanned!(span=> #home::metered_bytes(#value, #call));
                if boxed { boxed_again(&stream, span) } else { stream }
            }
            Kind::Mapped { boxed } => {
                let stream = self.metered(&quote!(#value), &quote!(#call), boxed);
                quote!(#value.map(move |#value| #stream))
            }
            Kind::IntoResponse => self.by_type(true),
            _ => return self.by_type(false),
        };
        if !returns.fallible {
            return measured;
        }
        let refused = self.refused();
        quote! {{
            #refused
            match #value {
                ::core::result::Result::Ok(#value) => ::core::result::Result::Ok(#measured),
                ::core::result::Result::Err(error) => {
                    #home::fail(#call);
                    ::core::result::Result::Err(error)
                }
            }
        }}
    }

    /// The end by the value's type. The methods have names that no trait in the caller's scope has.
    fn by_type(&self, into_response: bool) -> TokenStream {
        let (home, call, value) = (&self.home, &self.call, &self.value);
        let reader = match self.stream.as_ref().and_then(|stream| stream.unit) {
            Some((Unit::Sse, _)) => quote!(#home::Reader::Sse),
            Some((Unit::Frames, _)) => quote!(#home::Reader::Frames),
            _ => quote!(#home::Reader::ByType),
        };
        let (import, tag) = if into_response {
            (quote!(IntoResponseEnd as _,), quote!(&&&&&#home::Tag::of(&#value)))
        } else {
            (quote!(), quote!(&&&&#home::Tag::of(&#value)))
        };
        let refused = self.refused();
        quote! {{
            #refused
            #[allow(unused_imports)]
            use #home::{
                #import ByResult as _, ByStatus as _, ByValue as _, ToBodyEnd as _,
            };
            (#tag).__dynamo_metrics_kind().__dynamo_metrics_finish(#call, #reader, #value)
        }}
    }

    /// Ends the call if the value is an error that is an answer, with a status of its own.
    fn refused(&self) -> TokenStream {
        let (home, call, status) = (&self.home, &self.call, &self.status);
        quote!(let #call = #home::refused(#call, #status);)
    }

    /// Asks for the status of the value, if it is an error that has one.
    fn ask_status(&self) -> TokenStream {
        let (home, value, status) = (&self.home, &self.value, &self.status);
        quote! {
            let #status = {
                #[allow(unused_imports)]
                use #home::{MayRefuse as _, Refuses as _};
                (&&#home::Tag::of(&#value)).__dynamo_metrics_refused(&#value)
            };
        }
    }

    /// `stream`, whose items are the tokens of `call`.
    fn metered(&self, stream: &TokenStream, call: &TokenStream, boxed: bool) -> TokenStream {
        let home = &self.home;
        let told = self.stream.as_ref();
        let first = told.and_then(|told| told.first.as_ref());
        let count = told.and_then(|told| told.count.as_ref());
        // In a closure of our own, so that one of the user's that does not fit is one error.
        let ask = |function: &Expr| {
            let span = at(function.span());
            let home = path_at(home, span);
            quote_spanned!(span=> |item| #home::ask(item, #function))
        };
        let first = first.map_or_else(|| quote!(#home::any), ask);
        let count = count.map_or_else(|| quote!(#home::one), ask);
        // A function by the items' type and no closure: a body may make several streams of one type.
        let metered = quote! {
            match #stream {
                stream => {
                    let is_error = {
                        #[allow(unused_imports)]
                        use #home::{IsResult as _, IsValue as _};
                        (&&#home::Tag::of_items(&stream)).__dynamo_metrics_is_error()
                    };
                    #home::metered(stream, #call, is_error, #first, #count)
                }
            }
        };
        if boxed { boxed_again(&metered, Span::mixed_site()) } else { metered }
    }

    /// Has the stream of each `Sse` that `body` makes measured; whether there is one.
    pub(super) fn follow(&self, body: &mut Block, boxed: bool) -> bool {
        let mut follow = Follow { code: self, boxed, found: false };
        follow.visit_block_mut(body);
        follow.found
    }

    fn unit_span(&self) -> Span {
        let unit = self.stream.as_ref().and_then(|stream| stream.unit);
        at(unit.map_or_else(Span::call_site, |(_, span)| span))
    }
}

/// A name whose errors are to point there.
fn located(name: &Ident, span: Span) -> Ident {
    Ident::new(&name.to_string(), name.span().located_at(span))
}

fn boxed_again(measured: &TokenStream, span: Span) -> TokenStream {
    quote_spanned!(span=> ::std::boxed::Box::pin(#measured) as _)
}

/// Finds `Sse::new(stream)` in what a function does itself.
struct Follow<'a> {
    code: &'a Code,
    boxed: bool,
    found: bool,
}

impl VisitMut for Follow<'_> {
    fn visit_expr_call_mut(&mut self, it: &mut ExprCall) {
        visit_mut::visit_expr_call_mut(self, it);
        let Expr::Path(path) = &*it.func else { return };
        let mut names = path.path.segments.iter().rev().map(|segment| &segment.ident);
        let is_new = names.next().is_some_and(|name| name == "new")
            && names.next().is_some_and(|name| name == "Sse");
        let Some(stream) = it.args.first_mut().filter(|_| is_new) else { return };
        let Code { home, place, .. } = self.code;
        let call = quote!(#home::take(&mut *#place));
        let metered = self.code.metered(&quote!(#stream), &call, self.boxed);
        *stream = parse_quote!(#metered);
        self.found = true;
    }

    // What others run, and when, is not known here.
    fn visit_expr_closure_mut(&mut self, _: &mut ExprClosure) {}

    fn visit_expr_async_mut(&mut self, _: &mut ExprAsync) {}

    fn visit_item_mut(&mut self, _: &mut Item) {}
}
