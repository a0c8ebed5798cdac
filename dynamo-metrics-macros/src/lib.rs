//! The macros of `dynamo-metrics`, which re-exports them: use them from there.
//!
//! | file | holds |
//! |---|---|
//! | `label` | `#[derive(LabelValue)]` and `#[derive(LabelSet)]` |
//! | `endpoint/parse` | the arguments of `#[instrumented_endpoint]`, as text |
//! | `endpoint/mod` | the same, checked against the function |
//! | `endpoint/expand` | the function that comes out |
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

/// Measures an `async fn` as an endpoint: calls, outcome, duration, what is in flight, and for
/// functions that return a stream or a streaming response, tokens and their times.
///
/// It feeds the set that `dynamo_metrics::llm::EndpointMetrics` describes. A call ends when what
/// the function returned ends: the future, the stream, or the body of the response. `?` and early
/// `return` are seen; a call that is dropped was cancelled; one that panics is a panic.
///
/// | argument | meaning | default |
/// |---|---|---|
/// | `name = ".."` | the endpoint | the function's name |
/// | `scope = expr` | a `&Scope` or `&Registry`; sees `self` and the parameters | `Registry::global()` |
/// | `labels(k = expr, ..)` | more labels; the values are `LabelValue`s, or string literals | none |
/// | `stream` | the value is a stream, though its type does not show it | streams that the type shows |
///
/// An `Err` is a `server_error`. A `Response` lasts until its body ends if its body is axum's (with
/// the feature `axum` of `dynamo-metrics`) or `http_body_util`'s `BoxBody` or `UnsyncBoxBody`; its
/// status says how it went. Any other value, `impl IntoResponse` among them, ends the call as a
/// success when it is returned.
///
/// Within a request that a `MetricsLayer` measures as the same endpoint, a call on the same task is a
/// part of that request, and is not counted again.
///
/// The scope is looked at for each call, so that two components in one process never share labels;
/// an endpoint's scope is taken as it is, any other gets the endpoint `name` below it.
///
/// # Examples
/// ```
/// use dynamo_metrics::instrumented_endpoint;
/// use dynamo_metrics::registry::{Registry, Scope};
///
/// struct Engine {
///     scope: Scope,
/// }
///
/// impl Engine {
///     #[instrumented_endpoint(name = "generate", scope = &self.scope)]
///     async fn generate(&self, prompt: &str) -> Result<String, std::num::ParseIntError> {
///         let n: usize = prompt.parse()?;
///         Ok("x".repeat(n))
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// let engine = Engine { scope: registry.namespace("prod").component("backend") };
/// assert!(engine.generate("3").await.is_ok());
/// assert!(engine.generate("three").await.is_err());
///
/// let text = dynamo_metrics::encode::text(&registry);
/// assert!(text.contains(
///     "dynamo_component_request_outcomes_total{dynamo_component=\"backend\",\
///      dynamo_endpoint=\"generate\",dynamo_namespace=\"prod\",outcome=\"success\"} 1"
/// ));
/// # });
/// ```
#[proc_macro_attribute]
pub fn instrumented_endpoint(arguments: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(arguments.into(), item.into()).into()
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
