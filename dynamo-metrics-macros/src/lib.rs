//! The macros of `dynamo-metrics`, which re-exports them: use them from there.
//!
//! | file | holds |
//! |---|---|
//! | `label` | `#[derive(LabelValue)]` and `#[derive(LabelSet)]` |
//! | `endpoint/attribute.md` | the page of `#[instrumented_endpoint]` |
//! | `endpoint/parse` | its arguments, as text |
//! | `endpoint/returns` | what the function returns, by how that is written |
//! | `endpoint/home` | where the crate is |
//! | `endpoint/mod` | all of these, checked against the function |
//! | `endpoint/block` | whole impl blocks |
//! | `endpoint/expand` | the function that comes out, |
//! | `endpoint/finish` | and the end of its call |
//! | `text` | names: their case, and the nearest known one |

mod endpoint;
mod label;
mod text;

use proc_macro::TokenStream;

/// Derives `LabelValue` for an enum without fields: each variant is a value, in `snake_case` or as
/// `#[label(rename = "..")]` says.
#[proc_macro_derive(LabelValue, attributes(label))]
pub fn label_value(item: TokenStream) -> TokenStream {
    finish(label::value(item.into()))
}

/// Derives `LabelSet` for a struct whose fields are label values: each field is a label, named as
/// the field or as `#[label(rename = "..")]` says.
#[proc_macro_derive(LabelSet, attributes(label))]
pub fn label_set(item: TokenStream) -> TokenStream {
    finish(label::set(item.into()))
}

#[doc = include_str!("endpoint/attribute.md")]
#[proc_macro_attribute]
pub fn instrumented_endpoint(arguments: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(arguments.into(), item.into()).into()
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
