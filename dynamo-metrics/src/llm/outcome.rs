//! How a request ended: one word, from a closed set.

use http::StatusCode;

use crate::label::LabelValue;

/// How a request ended. Each has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered to the end, or to its terminal marker.
    Success,
    /// The client asked for something that it cannot have (HTTP 4xx).
    ClientError,
    /// The service failed: HTTP 5xx, an error in the body or in an event of it, an `Err`.
    ServerError,
    /// The client left before the end. Neither a success nor a failure.
    Cancelled,
    /// The body ended without an error and without what should have ended it.
    Incomplete,
    /// It took too long (HTTP 408 and 504, gRPC `DEADLINE_EXCEEDED`, or a gRPC call that was dropped or
    /// failed past the deadline of its `grpc-timeout`).
    Timeout,
    /// It was turned away unserved (HTTP 429, 503 and 529, gRPC `RESOURCE_EXHAUSTED` and
    /// `UNAVAILABLE`).
    Rejected,
    /// The code that served it panicked.
    Panic,
}

/// What went wrong, as Dynamo's work handler names it in `errors_total`, and a few words more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, LabelValue)]
#[non_exhaustive]
pub enum ErrorType {
    /// The request was refused for what it says.
    InvalidMessage,
    /// The service failed before the first byte of an answer.
    Generate,
    /// The answer broke off.
    ResponseStream,
    /// It took too long.
    Timeout,
    /// It was turned away unserved.
    Rejected,
    /// The code that served it panicked.
    Panic,
    /// The request could not be read. No layer sees this: see
    /// [`EndpointMetrics::error`](super::EndpointMetrics::error).
    Deserialization,
    /// An answer could not be written.
    Serialization,
    /// An answer could not be sent.
    PublishResponse,
    /// The end of the answers could not be sent.
    PublishFinal,
}

/// The end of a request, with what there is to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) outcome: Outcome,
    /// Whether the answer had begun.
    pub(crate) in_body: bool,
    /// The status of the answer's head, if it had one.
    pub(crate) status: Option<StatusCode>,
}

pub(super) const OUTCOMES: [Outcome; 8] = [
    Outcome::Success,
    Outcome::ClientError,
    Outcome::ServerError,
    Outcome::Cancelled,
    Outcome::Incomplete,
    Outcome::Timeout,
    Outcome::Rejected,
    Outcome::Panic,
];

pub(super) const ERROR_TYPES: [ErrorType; 10] = [
    ErrorType::InvalidMessage,
    ErrorType::Generate,
    ErrorType::ResponseStream,
    ErrorType::Timeout,
    ErrorType::Rejected,
    ErrorType::Panic,
    ErrorType::Deserialization,
    ErrorType::Serialization,
    ErrorType::PublishResponse,
    ErrorType::PublishFinal,
];

impl Outcome {
    /// Every outcome, in the order of declaration.
    pub const ALL: &'static [Self] = &OUTCOMES;

    /// The outcome of a complete answer with this status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            408 | 504 => Self::Timeout,
            // 529 is what Dynamo and others answer when they are overloaded.
            429 | 503 | 529 => Self::Rejected,
            499 => Self::Cancelled,
            // 424 is what TGI answers when generation failed; elsewhere it says that something else did.
            424 | 500.. => Self::ServerError,
            400..=499 => Self::ClientError,
            _ => Self::Success,
        }
    }

    /// The outcome of a complete answer with this `grpc-status`. What is no status of gRPC's is
    /// the server's fault.
    pub(crate) fn of_grpc(status: &[u8]) -> Self {
        match status {
            b"0" => Self::Success,
            b"1" => Self::Cancelled,
            b"4" => Self::Timeout,
            b"8" | b"14" => Self::Rejected,
            // INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED,
            // FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE, UNAUTHENTICATED.
            b"3" | b"5" | b"6" | b"7" | b"9" | b"10" | b"11" | b"16" => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

impl ErrorType {
    /// Every type, in the order of declaration.
    pub const ALL: &'static [Self] = &ERROR_TYPES;

    /// The error that an end is, if it is one.
    pub(crate) fn of(end: End) -> Option<Self> {
        Some(match end.outcome {
            Outcome::Success | Outcome::Cancelled => return None,
            Outcome::ClientError => Self::InvalidMessage,
            Outcome::ServerError if end.in_body => Self::ResponseStream,
            Outcome::ServerError => Self::Generate,
            Outcome::Incomplete => Self::ResponseStream,
            Outcome::Timeout => Self::Timeout,
            Outcome::Rejected => Self::Rejected,
            Outcome::Panic => Self::Panic,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_outcomes() {
        for (status, outcome) in [
            (200, Outcome::Success),
            (304, Outcome::Success),
            (404, Outcome::ClientError),
            (424, Outcome::ServerError),
            (408, Outcome::Timeout),
            (429, Outcome::Rejected),
            (499, Outcome::Cancelled),
            (500, Outcome::ServerError),
            (503, Outcome::Rejected),
            (529, Outcome::Rejected),
            (999, Outcome::ServerError),
        ] {
            assert_eq!(Outcome::of_status(StatusCode::from_u16(status).unwrap()), outcome);
        }
    }

    #[test]
    fn malformed_grpc_statuses_are_failures() {
        assert_eq!(Outcome::of_grpc(b"0"), Outcome::Success);
        for bad in [&b""[..], b"-1", b"abc", b"99", b"00"] {
            assert_eq!(Outcome::of_grpc(bad), Outcome::ServerError);
        }
    }

    #[test]
    fn all_lists_hold_each_value_once_and_in_order() {
        for (i, outcome) in Outcome::ALL.iter().enumerate() {
            assert_eq!(*outcome as usize, i);
        }
        for (i, error) in ErrorType::ALL.iter().enumerate() {
            assert_eq!(*error as usize, i);
        }
    }
}
