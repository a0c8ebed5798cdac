//! Why a request is not answered, in the words of no protocol.

use axum::http::StatusCode;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Its body is none that can be read.
    #[error("cannot read the request: {why}")]
    Unreadable { status: StatusCode, why: String },
    /// One of its fields is not what it has to be.
    #[error("{field} {rule}")]
    Invalid { field: &'static str, rule: &'static str },
    /// The model is not served here.
    #[error("the model `{0}` does not exist")]
    NoModel(String),
    #[error("no such route")]
    NoRoute,
    #[error("this route does not take this method")]
    NoMethod,
    #[error("the engine failed")]
    Engine,
}

impl Fault {
    pub(crate) fn invalid(field: &'static str, rule: &'static str) -> Self {
        Self::Invalid { field, rule }
    }

    /// The status that most protocols give it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Unreadable { status, .. } => *status,
            Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::NoModel(_) | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Engine => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}
