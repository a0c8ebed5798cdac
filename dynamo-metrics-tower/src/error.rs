//! Why a layer could not be built.

use dynamo_metrics::registry::RegisterError;

/// Why a layer could not be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The metrics of an endpoint could not be registered.
    #[error("cannot register the metrics of endpoint {endpoint}")]
    Register {
        /// The endpoint.
        endpoint: String,
        /// Why.
        source: RegisterError,
    },
    /// A path is no path, or a template that cannot be, or that stands in the way of another.
    #[error("{0} is no path, and no template that can stand beside the others")]
    Pattern(String),
    /// An endpoint has no name, or one of which nothing is left.
    #[error("the endpoint of {0} has no name")]
    Nameless(String),
    /// The bytes of a file descriptor set are none.
    #[error("the file descriptor set cannot be read")]
    Descriptor,
    /// Options are given for an endpoint that there is not.
    #[error("there is no endpoint {0} to have options")]
    NoEndpoint(String),
    /// One path is given twice.
    #[error("path {0} is given twice")]
    RepeatedPath(String),
}
