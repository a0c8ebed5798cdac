//! Names: under whose a set is exposed.

/// The prefix of sets whose names are whole.
pub(super) const NONE: &str = "";

/// Whose names, labels and bucket bounds a set has.
///
/// A set that has a choice says so, and records the same values under each of those that it was
/// given: what differs is what they are called, which labels they have, and where their buckets
/// end.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{FrontendMetrics, Names};
/// use dynamo_metrics::{encode, registry::Registry};
///
/// let registry = Registry::new();
/// let names = [Names::Dynamo, Names::Vllm];
/// let frontend = FrontendMetrics::builder(&registry).names(names).register()?;
/// frontend.serve("llama");
/// let text = encode::text(&registry);
/// assert!(text.contains("dynamo_frontend_output_tokens_total{model=\"llama\"} 0\n"));
/// assert!(text.contains("vllm:generation_tokens_total{engine=\"0\",model_name=\"llama\"} 0\n"));
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Names {
    /// Those of the seed system: NVIDIA Dynamo's, or what else the set says.
    Dynamo,
    /// `gen_ai.*`, the conventions of OpenTelemetry, in Prometheus's spelling.
    GenAi,
    /// `vllm:*`, for whoever reads a vLLM server's.
    Vllm,
}

/// One is a list of one.
impl IntoIterator for Names {
    type Item = Self;
    type IntoIter = std::iter::Once<Self>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}
