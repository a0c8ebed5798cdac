//! The macros of `dynamo-metrics`, which re-exports them: use them from there.
//!
//! | file | holds |
//! |---|---|
//! | `label` | `#[derive(LabelValue)]` and `#[derive(LabelSet)]` |
//! | `set/parse` | the attributes of `#[derive(MetricSet)]`, as text |
//! | `set/mod` | the same, checked against the struct |
//! | `set/expand` | the code that registers it |
//! | `docs` | doc comments, as help texts |
//! | `home` | where the core is |
//! | `endpoint/attribute.md` | the page of `#[instrumented_endpoint]` |
//! | `endpoint/parse` | its arguments, as text |
//! | `endpoint/returns` | what the function returns, by how that is written |
//! | `endpoint/mod` | all of these, checked against the function |
//! | `endpoint/block` | whole impl blocks |
//! | `endpoint/expand` | the function that comes out, |
//! | `endpoint/finish` | and the end of its call |
//! | `text` | names: their case, and the nearest known one |

mod docs;
mod endpoint;
mod home;
mod label;
mod set;
mod text;

use proc_macro::TokenStream;

/// Derives `LabelValue` for an enum without fields: each variant is a value, in `snake_case`.
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `#[label(rename = "..")]` | a variant | how it reads |
/// | `#[label(rename_all = "..")]` | the enum | how the others read: `snake_case`, `kebab-case`, `PascalCase` or `SCREAMING_SNAKE_CASE` |
/// | `#[label(crate = path)]` | the enum | where `dynamo_metrics` is, if it is called otherwise |
///
/// # Examples
/// ```
/// use dynamo_metrics::label::LabelValue;
///
/// #[derive(LabelValue)]
/// #[label(rename_all = "SCREAMING_SNAKE_CASE")]
/// enum Code {
///     Ok,
///     NotFound,
///     #[label(rename = "_OTHER")]
///     Other,
/// }
///
/// assert_eq!(Code::LABELS, ["OK", "NOT_FOUND", "_OTHER"]);
/// assert_eq!(Code::NotFound.as_label(), "NOT_FOUND");
/// assert_eq!(Code::Other.index(), 2);
/// ```
#[proc_macro_derive(LabelValue, attributes(label))]
pub fn label_value(item: TokenStream) -> TokenStream {
    finish(label::value(item.into()))
}

/// Derives `LabelSet` for a struct whose fields are label values: each field is a label, named as
/// the field or as `#[label(rename = "..")]` says.
///
/// `#[label(crate = path)]` on the struct says where `dynamo_metrics` is, if it is called otherwise.
///
/// # Examples
/// ```
/// use dynamo_metrics::label::{Bounded, LabelSet, LabelValue, Vocabulary};
///
/// #[derive(LabelValue)]
/// enum Tier { Free, Paid }
///
/// #[derive(LabelSet)]
/// struct Call {
///     tier: Tier,
///     model: Bounded<16>,
///     #[label(rename = "type")]
///     kind: Option<bool>,
/// }
///
/// assert_eq!(Call::NAMES, ["tier", "model", "type"]);
/// let models = Vocabulary::new();
/// let call = Call { tier: Tier::Paid, model: models.get("llama").clone(), kind: None };
/// assert_eq!(call.values(|values| values.join(" ")), "paid llama none");
/// ```
#[proc_macro_derive(LabelSet, attributes(label))]
pub fn label_set(item: TokenStream) -> TokenStream {
    finish(label::set(item.into()))
}

/// Derives `MetricSet` for a struct whose fields are metrics: it is registered as one, and listed in
/// the registry's catalogue.
///
/// A field is a metric (`Counter`, `FloatCounter`, `Gauge`, `FloatGauge`, `UpDownCounter`, `Total`,
/// `Histogram`, `Info`, `StateSet`), or one of these forms of it:
///
/// | type | series |
/// |---|---|
/// | `M` | one, there at once |
/// | `Lazy<M>` | one, there once it is used |
/// | `[M; N]` | one for each value of an enum, all there at once |
/// | `Family<L, M>` | one for each set of labels, there once it is used |
/// | `DynamicFamily<M, N>` | one for each set of label values that come as text, capped |
///
/// The first paragraph of its doc comment is the help text, and the one under a heading `Source` says
/// where its value is taken; so do those of the struct for the set. Without arguments a metric is
/// named as its field, without the `_` that a field may start with which nobody reads.
///
/// | argument of `#[metric(..)]` | meaning |
/// |---|---|
/// | `name = ".."` | another name |
/// | `alias = ".."` | one more name of the same values; may repeat |
/// | `help = ".."`, `source = ".."` | instead of the doc comment |
/// | `unit = seconds` | the unit, which the name ends in: `seconds`, `bytes`, `tokens`, `ratio`, `celsius`, `watts`, `joules`, `hertz` |
/// | `buckets = ..` | bounds `[0.1, 1, 10]`, checked here; a constant; an expression or the path of a function that gives `Buckets`, or a `Result` of them |
/// | `native`, `native = ..` | native buckets as well: the default ones, or `NativeBuckets` or a `Result` of them |
/// | `exemplars` | keeps exemplars |
/// | `labels(kind = "x")` | a label with a value that does not change |
/// | `labels(model, ..)` | the label names of a `DynamicFamily` |
/// | `each(outcome: Outcome)` | the label of an array, and the enum of its values |
/// | `time_to_live = ..` | of the series of a family, a `Duration` |
/// | `series_cap = ..` | of a `DynamicFamily`, how many series |
/// | `of_workers` | of a `DynamicFamily`: its label `worker_id` tells other workers apart, and the registry's own is not there |
/// | `flatten` | the field is a set of its own, registered with this one |
/// | `skip` | the field is no metric, and starts as its `Default` |
///
/// | argument of `#[metric_set(..)]` | meaning |
/// |---|---|
/// | `prefix = ".."` | what the names start with, unless the scope has a prefix of its own; a text or a constant |
/// | `fixed_prefix = ".."` | the same, whatever the scope has |
/// | `name = ".."`, `help = ".."`, `source = ".."` | what the catalogue says of the set |
/// | `crate = path` | where `dynamo_metrics` is, if it is called otherwise |
///
/// A struct with one field that has no name, `struct Shared(Arc<Set>)`, is that set in a name of its
/// own.
///
/// # Examples
/// Everything at once:
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use dynamo_metrics::label::{LabelSet, LabelValue};
/// use dynamo_metrics::metric::{
///     Buckets, BucketsError, Counter, Gauge, Histogram, Info, NativeBuckets, StateSet, UpDownCounter,
/// };
/// use dynamo_metrics::registry::{DynamicFamily, Family, Lazy, MetricSet, Registry};
/// use dynamo_metrics::encode;
///
/// #[derive(Clone, Copy, LabelValue)]
/// enum Outcome { Success, Failure }
///
/// #[derive(LabelValue)]
/// enum Phase { Starting, Serving }
///
/// #[derive(LabelSet)]
/// struct Call { outcome: Outcome, cached: bool }
///
/// fn waits() -> Result<Buckets, BucketsError> {
///     Buckets::log(0.001, 10.0, 8)
/// }
///
/// const SIZES: [f64; 3] = [1e3, 1e6, 1e9];
///
/// /// What a worker does.
/// ///
/// /// # Source
/// /// The worker's loop.
/// #[derive(MetricSet)]
/// #[metric_set(prefix = "worker")]
/// struct Worker {
///     /// Jobs that ended, by how they did.
///     #[metric(name = "jobs_total", each(outcome: Outcome), exemplars)]
///     jobs: [Counter; 2],
///     /// Calls, by what became of them.
///     #[metric(name = "calls_total", labels(kind = "rpc"))]
///     calls: Family<Call, Counter>,
///     /// Tokens of each session.
///     #[metric(labels(session), unit = tokens, time_to_live = Duration::from_secs(600), series_cap = 100)]
///     session_tokens: DynamicFamily<Gauge, 1>,
///     /// Jobs that wait or run.
///     #[metric(alias = "concurrent_jobs")]
///     inflight_jobs: UpDownCounter,
///     /// Time that a job waits.
///     ///
///     /// # Source
///     /// From its arrival to its start.
///     #[metric(unit = seconds, buckets = waits, native)]
///     wait_seconds: Histogram,
///     /// Bytes of a job.
///     #[metric(unit = bytes, buckets = SIZES, native = NativeBuckets::new(2, 1.0, 1e9))]
///     job_bytes: Lazy<Histogram>,
///     /// What it is doing.
///     phase: StateSet<Phase>,
///     /// What runs.
///     #[metric(labels(version = "1.2.0"))]
///     _build_info: Info,
///     #[metric(flatten)]
///     cache: Cache,
///     #[metric(skip)]
///     started: Option<std::time::Instant>,
/// }
///
/// /// A cache.
/// #[derive(MetricSet)]
/// struct Cache {
///     /// Entries.
///     cache_entries: Gauge,
/// }
///
/// /// The same, shared.
/// #[derive(Clone, MetricSet)]
/// struct Shared(Arc<Worker>);
///
/// let registry = Registry::new();
/// let Shared(worker) = Shared::register(&registry)?;
/// worker.jobs[Outcome::Success as usize].inc();
/// worker.calls.with_ref(&Call { outcome: Outcome::Failure, cached: false }, Counter::inc);
/// worker.session_tokens.with_ref(["a3f"], |tokens| tokens.set(512));
/// worker.phase.set(&Phase::Serving);
/// worker.cache.cache_entries.set(7);
///
/// let text = encode::text(&registry);
/// for line in [
///     "# HELP worker_jobs_total Jobs that ended, by how they did.",
///     "worker_jobs_total{outcome=\"success\"} 1",
///     "worker_calls_total{cached=\"false\",kind=\"rpc\",outcome=\"failure\"} 1",
///     "worker_session_tokens{session=\"a3f\"} 512",
///     "worker_concurrent_jobs 0",
///     "worker_phase{worker_phase=\"serving\"} 1",
///     "worker_build_info{version=\"1.2.0\"} 1",
///     "worker_cache_entries 7",
/// ] {
///     assert!(text.lines().any(|other| other == line), "{line} in {text}");
/// }
/// assert!(!text.contains("worker_job_bytes"));
/// worker.job_bytes.observe(4e5);
/// assert!(encode::text(&registry).contains("worker_job_bytes_bucket{le=\"1e+06\"} 1\n"));
/// assert_eq!(Shared::INFO.metrics[4].source, "From its arrival to its start.");
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[proc_macro_derive(MetricSet, attributes(metric, metric_set))]
pub fn metric_set(item: TokenStream) -> TokenStream {
    finish(set::expand(item.into()))
}

#[doc = include_str!("endpoint/attribute.md")]
#[proc_macro_attribute]
pub fn instrumented_endpoint(arguments: TokenStream, item: TokenStream) -> TokenStream {
    endpoint::expand(arguments.into(), item.into()).into()
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
