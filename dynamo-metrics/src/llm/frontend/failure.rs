//! Why a request of a frontend failed, in Dynamo's words.

use crate::label::{LabelSet, LabelValue};
use crate::llm::outcome::{End, Outcome};

/// What kind of failure ended a request: the label `class` of `failures_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[label(rename_all = "PascalCase")]
#[non_exhaustive]
pub enum FailureClass {
    /// Nobody can tell.
    Unknown,
    /// An argument cannot be.
    InvalidArgument,
    /// A connection could not be made.
    CannotConnect,
    /// A connection was lost.
    Disconnected,
    /// A connection took too long.
    ConnectionTimeout,
    /// An answer took too long.
    ResponseTimeout,
    /// The client left.
    Cancelled,
    /// Something was used up.
    ResourceExhausted,
    /// A worker has too much to do.
    WorkerOverloaded,
    /// The service is not there.
    Unavailable,
    /// No worker is there.
    WorkerUnavailable,
    /// The backend failed, and nobody can tell how.
    BackendUnknown,
    /// The backend was given an argument that cannot be.
    BackendInvalidArgument,
    /// The backend could not be connected to.
    BackendCannotConnect,
    /// The connection to the backend was lost.
    BackendDisconnected,
    /// The connection to the backend took too long.
    BackendConnectionTimeout,
    /// The backend's answer took too long.
    BackendResponseTimeout,
    /// The backend gave up the request.
    BackendCancelled,
    /// The backend's engine was shut down.
    BackendEngineShutdown,
    /// The backend's stream ended before its end.
    BackendStreamIncomplete,
    /// The request cannot be understood.
    InvalidRequest,
    /// Nobody knows who asks.
    Unauthenticated,
    /// Who asks may not.
    PermissionDenied,
    /// What was asked for is not there.
    NotFound,
    /// It clashes with what is there.
    Conflict,
    /// The request is too large.
    PayloadTooLarge,
    /// The request is of a type that is not taken.
    UnsupportedMedia,
    /// The client asks too often.
    RateLimited,
    /// There is no room for the request.
    CapacityExhausted,
    /// The backend answered what nobody understands.
    BackendProtocol,
    /// The request took too long.
    DeadlineExceeded,
    /// What was asked for is not there yet.
    NotImplemented,
    /// The service is to blame.
    Internal,
}

/// Where a failure comes from: the label `reason` of `failures_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum FailureReason {
    /// Of the runtime, and nobody told.
    #[label(rename = "runtime.unclassified")]
    RuntimeUnclassified,
    /// A fault of the runtime.
    #[label(rename = "runtime.internal")]
    RuntimeInternal,
    /// The runtime cannot do it.
    #[label(rename = "runtime.not_implemented")]
    RuntimeNotImplemented,
    /// An argument of the request.
    #[label(rename = "request.invalid_argument")]
    RequestInvalidArgument,
    /// The request as a whole.
    #[label(rename = "request.invalid")]
    RequestInvalid,
    /// The request's deadline.
    #[label(rename = "request.deadline_exceeded")]
    RequestDeadlineExceeded,
    /// The request's client.
    #[label(rename = "request.cancelled")]
    RequestCancelled,
    /// What the request asks for.
    #[label(rename = "request.not_found")]
    RequestNotFound,
    /// The rate of requests.
    #[label(rename = "request.rate_limited")]
    RequestRateLimited,
    /// The wait for a place in the router's queue.
    #[label(rename = "router.queue_deadline_exceeded")]
    RouterQueueDeadlineExceeded,
    /// A connection that was not made.
    #[label(rename = "transport.cannot_connect")]
    TransportCannotConnect,
    /// A connection that was lost.
    #[label(rename = "transport.disconnected")]
    TransportDisconnected,
    /// A connection that took too long.
    #[label(rename = "transport.connection_timeout")]
    TransportConnectionTimeout,
    /// Of the backend, and nobody told.
    #[label(rename = "backend.unknown")]
    BackendUnknown,
    /// An argument that the backend was given.
    #[label(rename = "backend.invalid_argument")]
    BackendInvalidArgument,
    /// A connection to the backend that was not made.
    #[label(rename = "backend.cannot_connect")]
    BackendCannotConnect,
    /// A connection to the backend that was lost.
    #[label(rename = "backend.disconnected")]
    BackendDisconnected,
    /// A connection to the backend that took too long.
    #[label(rename = "backend.connection_timeout")]
    BackendConnectionTimeout,
    /// An answer of the backend that took too long.
    #[label(rename = "backend.response_timeout")]
    BackendResponseTimeout,
    /// The backend gave up.
    #[label(rename = "backend.cancelled")]
    BackendCancelled,
    /// The backend's engine was shut down.
    #[label(rename = "backend.engine_shutdown")]
    BackendEngineShutdown,
    /// The backend's stream broke off.
    #[label(rename = "backend.stream_incomplete")]
    BackendStreamIncomplete,
    /// Room in a pool.
    #[label(rename = "capacity.pool_exhausted")]
    CapacityPoolExhausted,
    /// Room in a worker.
    #[label(rename = "capacity.worker_overloaded")]
    CapacityWorkerOverloaded,
    /// Room anywhere.
    #[label(rename = "capacity.exhausted")]
    CapacityExhausted,
}

/// A failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelSet)]
pub(in crate::llm) struct Failure {
    pub(in crate::llm) class: FailureClass,
    pub(in crate::llm) reason: FailureReason,
}

impl Failure {
    /// What an end shows of a failure, if it is one.
    pub(in crate::llm) fn of(end: End) -> Option<Self> {
        use {FailureClass as C, FailureReason as R};
        let (class, reason) = match (end.outcome, end.status.map(|status| status.as_u16())) {
            (Outcome::Success, _) => return None,
            (Outcome::Cancelled, _) => (C::Cancelled, R::RequestCancelled),
            (Outcome::Timeout, _) => (C::DeadlineExceeded, R::RequestDeadlineExceeded),
            (Outcome::Rejected, Some(429)) => (C::RateLimited, R::RequestRateLimited),
            (Outcome::Rejected, Some(529)) => (C::WorkerOverloaded, R::CapacityWorkerOverloaded),
            (Outcome::Rejected, Some(503)) => (C::Unavailable, R::RuntimeUnclassified),
            (Outcome::Rejected, _) => (C::CapacityExhausted, R::CapacityExhausted),
            (Outcome::ClientError, Some(401)) => (C::Unauthenticated, R::RequestInvalid),
            (Outcome::ClientError, Some(403)) => (C::PermissionDenied, R::RequestInvalid),
            (Outcome::ClientError, Some(404)) => (C::NotFound, R::RequestNotFound),
            (Outcome::ClientError, Some(409)) => (C::Conflict, R::RequestInvalid),
            (Outcome::ClientError, Some(413)) => (C::PayloadTooLarge, R::RequestInvalid),
            (Outcome::ClientError, Some(415)) => (C::UnsupportedMedia, R::RequestInvalid),
            (Outcome::ClientError, _) => (C::InvalidRequest, R::RequestInvalid),
            (Outcome::Incomplete, _) => (C::BackendStreamIncomplete, R::BackendStreamIncomplete),
            (Outcome::ServerError, Some(501)) => (C::NotImplemented, R::RuntimeNotImplemented),
            (Outcome::ServerError | Outcome::Panic, _) => (C::Internal, R::RuntimeInternal),
        };
        Some(Self { class, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_dynamos() {
        assert_eq!(FailureClass::LABELS[0], "Unknown");
        assert_eq!(FailureClass::BackendStreamIncomplete.as_label(), "BackendStreamIncomplete");
        let dotted = |reason: &&str| reason.split_once('.').is_some();
        assert!(FailureReason::LABELS.iter().all(dotted));
    }
}
