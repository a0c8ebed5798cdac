//! `#[derive(LabelValue)]` and `#[derive(LabelSet)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Result};

use crate::text::{Case, unknown};

/// Label names that scopes and formats set.
const RESERVED: [&str; 6] =
    ["le", "quantile", "dynamo_namespace", "dynamo_component", "dynamo_endpoint", "worker_id"];

pub(crate) fn value(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "expected an enum: its variants are the values",
        ));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "a label needs at least one value"));
    }
    let case = read(&input.attrs, "rename_all")?;
    let case = case.map_or(Ok(Case::Snake), |case| {
        Case::named(&case.value()).map_err(|why| Error::new(case.span(), why))
    })?;
    let mut texts: Vec<String> = Vec::new();
    let (mut arms, mut indices) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                &variant.fields,
                "a label value has no fields: what they hold would make a series of its own",
            ));
        }
        let ident = &variant.ident;
        let text = match read(&variant.attrs, "rename")? {
            Some(text) => text.value(),
            None => case.of(&ident.unraw().to_string()),
        };
        if texts.contains(&text) {
            return Err(Error::new_spanned(ident, format!("two values read {text:?}")));
        }
        arms.push(quote!(Self::#ident => #text));
        let index = texts.len();
        indices.push(quote!(Self::#ident => #index));
        texts.push(text);
    }
    let (name, (generics, types, bounds)) = (&input.ident, input.generics.split_for_impl());
    let count = texts.len();
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::dynamo_metrics::__private::LabelValue for #name #types #bounds {
            const COUNT: ::core::option::Option<usize> = ::core::option::Option::Some(#count);
            const LABELS: &'static [&'static str] = &[#(#texts),*];

            #[inline]
            fn index(&self) -> usize {
                match self { #(#indices,)* }
            }

            #[inline]
            fn as_label(&self) -> &str {
                match self { #(#arms,)* }
            }
        }
    })
}

pub(crate) fn set(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        _ => {
            return Err(Error::new_spanned(
                &input.ident,
                "expected a struct: its fields are labels",
            ));
        }
    };
    if matches!(fields, Fields::Unnamed(_)) {
        return Err(Error::new_spanned(fields, "a label needs a name: name the fields"));
    }
    let mut names: Vec<String> = Vec::new();
    let (mut values, mut counts, mut indices) = (Vec::new(), Vec::new(), Vec::new());
    let (mut infos, mut exact) = (Vec::new(), Vec::new());
    for field in fields {
        let Some(ident) = &field.ident else { continue };
        let (name, span) = match read(&field.attrs, "rename")? {
            Some(name) => (name.value(), name.span()),
            None => (ident.unraw().to_string(), ident.span()),
        };
        if let Err(why) = check_name(&name) {
            return Err(Error::new(span, why));
        }
        if names.contains(&name) {
            return Err(Error::new(span, format!("two labels are named {name:?}")));
        }
        let ty = &field.ty;
        infos.push(quote_spanned! {ty.span()=>
            ::dynamo_metrics::__private::LabelInfo::of::<#ty>(#name)
        });
        exact.push(
            quote_spanned!(ty.span()=> <#ty as ::dynamo_metrics::__private::LabelValue>::EXACT),
        );
        names.push(name);
        counts.push(
            quote_spanned!(ty.span()=> <#ty as ::dynamo_metrics::__private::LabelValue>::COUNT),
        );
        indices.push(quote_spanned! {ty.span()=> (
            <#ty as ::dynamo_metrics::__private::LabelValue>::COUNT,
            <#ty as ::dynamo_metrics::__private::LabelValue>::index(&self.#ident),
        )});
        // At the field's type, which is what is wrong if this does not compile.
        values.push(quote_spanned! {field.ty.span()=>
            <#ty as ::dynamo_metrics::__private::LabelValue>::as_label(&self.#ident)
        });
    }
    let (name, (generics, types, bounds)) = (&input.ident, input.generics.split_for_impl());
    Ok(quote! {
        #[automatically_derived]
        impl #generics ::dynamo_metrics::__private::LabelSet for #name #types #bounds {
            const NAMES: &'static [&'static str] = &[#(#names),*];
            const INFO: &'static [::dynamo_metrics::__private::LabelInfo] = &[#(#infos),*];
            const EXACT: bool = true #(&& #exact)*;
            const COUNT: ::core::option::Option<usize> =
                ::dynamo_metrics::__private::combinations(&[#(#counts),*]);

            #[inline]
            fn index(&self) -> usize {
                ::dynamo_metrics::__private::combine(&[#(#indices),*])
            }

            fn values<R>(&self, visit: impl ::core::ops::FnOnce(&[&str]) -> R) -> R {
                visit(&[#(#values),*])
            }
        }
    })
}

/// Whether a label may be named so.
pub(crate) fn check_name(name: &str) -> std::result::Result<(), String> {
    let mut chars = name.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("{name:?} is no label name: expected [a-zA-Z_][a-zA-Z0-9_]*"));
    }
    if name.starts_with("__") || RESERVED.contains(&name) {
        return Err(format!("label name {name:?} is reserved"));
    }
    Ok(())
}

/// The text of `#[label(known = "..")]`, if there is one; nothing else is known here.
fn read(attributes: &[Attribute], known: &str) -> Result<Option<LitStr>> {
    let mut found = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("label")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident(known) {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                return Err(Error::new_spanned(&meta.path, unknown(&name, &[known])));
            }
            if found.replace(meta.value()?.parse::<LitStr>()?).is_some() {
                return Err(meta.error(format!("`{known}` is given twice")));
            }
            Ok(())
        })?;
    }
    Ok(found)
}
