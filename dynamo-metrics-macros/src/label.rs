//! `#[derive(LabelValue)]` and `#[derive(LabelSet)]`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitStr, Path, Result};

use crate::home::moved;
use crate::text::{Case, unknown};

/// Label names that scopes and formats set.
const RESERVED: [&str; 6] =
    ["le", "quantile", "dynamo_namespace", "dynamo_component", "dynamo_endpoint", "worker_id"];

/// What `#[label(..)]` says.
#[derive(Default)]
struct Arguments {
    /// Of `rename` or `rename_all`.
    text: Option<LitStr>,
    /// Where the core is.
    home: Option<Path>,
}

impl Arguments {
    /// Reads attributes that may have these arguments.
    fn read(attributes: &[Attribute], known: &[&str]) -> Result<Self> {
        let mut arguments = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("label")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
                if !known.contains(&name.as_str()) {
                    return Err(Error::new_spanned(&meta.path, unknown(&name, known)));
                }
                let input = meta.value()?;
                let is_new = if name == "crate" {
                    arguments.home.replace(input.call(Path::parse_mod_style)?).is_none()
                } else {
                    arguments.text.replace(input.parse()?).is_none()
                };
                if is_new { Ok(()) } else { Err(meta.error(format!("`{name}` is given twice"))) }
            })?;
        }
        Ok(arguments)
    }
}

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
    let arguments = Arguments::read(&input.attrs, &["rename_all", "crate"])?;
    let case = arguments.text.map_or(Ok(Case::Snake), |case| {
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
        let text = match Arguments::read(&variant.attrs, &["rename"])?.text {
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
    let code = quote! {
        #[automatically_derived]
        impl #generics ::dynamo_metrics::__private::LabelValue for #name #types #bounds {
            const COUNT: ::core::option::Option<::core::primitive::usize> = ::core::option::Option::Some(#count);
            const LABELS: &'static [&'static ::core::primitive::str] = &[#(#texts),*];

            #[inline]
            fn index(&self) -> ::core::primitive::usize {
                match self { #(#indices,)* }
            }

            #[inline]
            fn as_label(&self) -> &::core::primitive::str {
                match self { #(#arms,)* }
            }
        }
    };
    Ok(moved(code, arguments.home.as_ref()))
}

pub(crate) fn set(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let arguments = Arguments::read(&input.attrs, &["crate"])?;
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
        let (name, span) = match Arguments::read(&field.attrs, &["rename"])?.text {
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
            ::dynamo_metrics::__private::LabelInfo::known(
                #name,
                <#ty as ::dynamo_metrics::__private::LabelValue>::COUNT,
                <#ty as ::dynamo_metrics::__private::LabelValue>::LABELS,
            )
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
    let code = quote! {
        #[automatically_derived]
        impl #generics ::dynamo_metrics::__private::LabelSet for #name #types #bounds {
            const NAMES: &'static [&'static ::core::primitive::str] = &[#(#names),*];
            const INFO: &'static [::dynamo_metrics::__private::LabelInfo] = &[#(#infos),*];
            const EXACT: ::core::primitive::bool = true #(&& #exact)*;
            const COUNT: ::core::option::Option<::core::primitive::usize> =
                ::dynamo_metrics::__private::combinations(&[#(#counts),*]);

            #[inline]
            fn index(&self) -> ::core::primitive::usize {
                ::dynamo_metrics::__private::combine(&[#(#indices),*])
            }

            fn values<R>(&self, visit: impl ::core::ops::FnOnce(&[&::core::primitive::str]) -> R) -> R {
                visit(&[#(#values),*])
            }
        }
    };
    Ok(moved(code, arguments.home.as_ref()))
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
