//! The code of a set: what there is to say of it, and its registration by that.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Type};

use super::parse::{Native, Prefix};
use super::{Body, Buckets, Description, Field, Metric, Role, Set};

pub(super) fn expand(set: &Set) -> TokenStream {
    let (name, (generics, types, bounds)) = (&set.ident, set.generics.split_for_impl());
    let (info, register) = match &set.body {
        Body::Fields(description, fields) => (info(description, fields), register(fields)),
        Body::Within(ty) => within(ty),
    };
    quote! {
        #[automatically_derived]
        impl #generics ::dynamo_metrics::__private::MetricSet for #name #types #bounds {
            const INFO: &'static ::dynamo_metrics::__private::SetInfo = #info;

            fn register_with(
                scope: &::dynamo_metrics::__private::Scope,
                labels: &[(&::core::primitive::str, &::core::primitive::str)],
            ) -> ::core::result::Result<Self, ::dynamo_metrics::__private::RegisterError> {
                #register
            }
        }
    }
}

/// A set in a name of its own.
fn within(ty: &Type) -> (TokenStream, TokenStream) {
    let info = quote_spanned! {ty.span()=>
        <#ty as ::dynamo_metrics::__private::MetricSet>::INFO
    };
    let registered = quote_spanned! {ty.span()=>
        <#ty as ::dynamo_metrics::__private::MetricSet>::register_with(scope, labels)
    };
    (info, quote!(::core::result::Result::map(#registered, Self)))
}

fn info(description: &Description, fields: &[Field]) -> TokenStream {
    let Description { name, help, source, prefix } = description;
    let source = (!source.is_empty()).then(|| quote!(.source(#source)));
    let prefix = prefix.as_ref().map(|Prefix { text, is_fixed }| quote!(.prefix(#text, #is_fixed)));
    let metrics = fields.iter().filter_map(|field| match &field.role {
        Role::Metric(it) => Some(metric(&field.ty, it)),
        Role::Set | Role::Skipped => None,
    });
    let sets: Vec<&Type> = fields
        .iter()
        .filter(|field| matches!(field.role, Role::Set))
        .map(|field| &field.ty)
        .collect();
    let names: Vec<&str> = fields.iter().flat_map(Field::names).collect();
    let apart = sets.iter().enumerate().map(|(i, ty)| {
        let others = &sets[..i];
        quote_spanned! {ty.span()=> ::core::assert!(
            !::dynamo_metrics::__private::share_names(
                <#ty as ::dynamo_metrics::__private::MetricSet>::INFO,
                &[#(#names),*],
                &[#(<#others as ::dynamo_metrics::__private::MetricSet>::INFO),*],
            ),
            "a metric of this set has the name of another one",
        )}
    });
    let infos = sets.iter().map(
        |ty| quote_spanned!(ty.span()=> <#ty as ::dynamo_metrics::__private::MetricSet>::INFO),
    );
    quote! {
        &::dynamo_metrics::__private::SetInfo::new(#name, ::core::module_path!(), #help)
            #source
            #prefix
            .metrics(const { &[#(#metrics),*] })
            .sets(const { #(#apart;)* &[#(#infos),*] })
    }
}

fn metric(ty: &Type, metric: &Metric) -> TokenStream {
    let Metric { name, help, source, aliases, .. } = metric;
    let at = ty.span();
    let mut info = quote_spanned! {at=>
        <#ty as ::dynamo_metrics::__private::MetricField>::INFO.named(#name, #help)
    };
    let mut add = |more: TokenStream| info.extend(more);
    if !source.is_empty() {
        add(quote!(.source(#source)));
    }
    if !aliases.is_empty() {
        add(quote!(.aliases(&[#(#aliases),*])));
    }
    if let Some(unit) = &metric.unit {
        let variant = Ident::new(unit.variant, unit.span);
        add(quote!(.unit(::dynamo_metrics::__private::Unit::#variant)));
    }
    if !metric.constants.is_empty() {
        let labels = metric.constants.iter().map(|(name, value)| quote!((#name, #value)));
        add(quote!(.constants(const { &[#(#labels),*] })));
    }
    if !metric.names.is_empty() {
        let names = metric.names.iter().map(|name| &name.text);
        let count = metric.names.len();
        let why = format!("a `DynamicFamily` has as many labels as its type says, and not {count}");
        add(quote_spanned! {at=> .names::<#ty>(const {
            ::core::assert!(::dynamo_metrics::__private::has_labels::<#ty>(#count), #why);
            &[#(::dynamo_metrics::__private::LabelInfo::open(#names)),*]
        })});
    }
    if let Some(each) = &metric.each {
        let (label, values) = (&each.label.text, &each.values);
        let texts = quote_spanned! {values.span()=>
            <#values as ::dynamo_metrics::__private::LabelValue>::LABELS
        };
        add(quote_spanned! {at=> .each::<#ty>(const {
            ::core::assert!(
                ::dynamo_metrics::__private::fits::<#ty>(#texts),
                "the array needs one metric for each value of the label",
            );
            &[::dynamo_metrics::__private::LabelInfo::known(
                #label, ::core::option::Option::None, #texts,
            )]
        })});
    }
    if let Some(made) = &metric.buckets {
        let made = buckets(made);
        add(quote_spanned!(at=> .buckets::<#ty>(#made)));
    }
    if let Some(native) = &metric.native {
        let made = match native {
            Native::Given(native) => quote_spanned! {native.span()=>
                ::dynamo_metrics::__private::native(#native)
            },
            Native::Default => quote!(::dynamo_metrics::__private::default_native()),
        };
        add(quote_spanned!(at=> .native::<#ty>(|| #made)));
    }
    if metric.exemplars {
        add(quote_spanned!(at=> .exemplars::<#ty>()));
    }
    if let Some(life) = &metric.time_to_live {
        add(quote_spanned!(at=> .time_to_live::<#ty>(#life)));
    }
    if let Some(cap) = &metric.series_cap {
        add(quote_spanned!(at=> .series_cap::<#ty>(#cap)));
    }
    if metric.of_workers {
        add(quote_spanned!(at=> .of_workers::<#ty>()));
    }
    info
}

/// A function that makes the buckets.
fn buckets(made: &Buckets) -> TokenStream {
    match made {
        Buckets::Checked(bounds) | Buckets::Other(bounds) => quote_spanned! {bounds.span()=>
            || ::dynamo_metrics::__private::bounds(#bounds)
        },
        Buckets::Function(path) => quote_spanned! {path.span()=>
            || ::dynamo_metrics::__private::bounds(#path())
        },
        // An item, whose type is known, so that what is none of it is one error.
        Buckets::Constant(path) => quote_spanned! {path.span()=> {
            const __DYNAMO_METRICS_BOUNDS: &[::core::primitive::f64] = &#path;
            const {
                if let ::core::option::Option::Some(fault) =
                    ::dynamo_metrics::__private::bounds_fault(__DYNAMO_METRICS_BOUNDS)
                {
                    ::core::panic!("{}", fault)
                }
            }
            || ::dynamo_metrics::__private::bounds(__DYNAMO_METRICS_BOUNDS)
        }},
    }
}

fn register(fields: &[Field]) -> TokenStream {
    let mut at = 0_usize;
    let fields = fields.iter().map(|field| {
        let (ident, ty) = (&field.ident, &field.ty);
        match field.role {
            Role::Metric(_) => {
                let place = at;
                at += 1;
                quote_spanned! {ty.span()=>
                    #ident: <#ty as ::dynamo_metrics::__private::MetricField>::register_in(
                        scope, Self::INFO, #place, labels,
                    )?
                }
            }
            Role::Set => quote_spanned! {ty.span()=>
                #ident: <#ty as ::dynamo_metrics::__private::MetricSet>::register_with(
                    scope, labels,
                )?
            },
            Role::Skipped => quote_spanned! {ty.span()=>
                #ident: <#ty as ::core::default::Default>::default()
            },
        }
    });
    let fields: Vec<TokenStream> = fields.collect();
    quote! {
        let scope = &::dynamo_metrics::__private::enter(Self::INFO, scope);
        ::core::result::Result::Ok(Self { #(#fields),* })
    }
}
