//! What the head of an HTTP answer says of its end, and what trailers add to that.

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, response};

use super::outcome::{End, Outcome};

/// HEAD and CONNECT change what a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MethodKind {
    Head,
    Connect,
    Other,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    status: StatusCode,
    /// What a complete answer is, by its head, ..
    said: Outcome,
    /// .. and by its trailers, if they know better.
    outcome: Outcome,
    /// The outcome is in `grpc-status`, which mostly comes in the trailers.
    grpc: Grpc,
    /// There will be no body, whatever the headers say.
    no_body: bool,
    /// Bytes that the body has, if it was declared.
    expected: Option<u64>,
}

/// Where a response stands with its `grpc-status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grpc {
    /// It is no gRPC response, or failed before gRPC came in.
    No,
    /// The status has not come yet.
    Untold,
    Told,
}

impl MethodKind {
    pub(super) fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ => Self::Other,
        }
    }

    /// Whether an answer of this status has no body. This rule comes before any look at
    /// Content-Length, which may be there all the same.
    fn has_no_body(self, status: StatusCode) -> bool {
        self == Self::Head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || (self == Self::Connect && status.is_success())
    }
}

impl Head {
    /// A head whose body has `length` bytes, if it says so and the headers do not.
    pub(super) fn new(head: &response::Parts, method: MethodKind, length: Option<u64>) -> Self {
        let outcome = Outcome::of_status(head.status);
        Self {
            status: head.status,
            said: outcome,
            outcome,
            grpc: Grpc::No,
            no_body: method.has_no_body(head.status),
            expected: declared_length(&head.headers).or(length),
        }
    }

    /// It is one of gRPC's, whose status is in the trailers, if `told` does not have it.
    pub(super) fn of_grpc(mut self, told: Option<Outcome>) -> Self {
        self.grpc = if told.is_some() || self.no_body { Grpc::Told } else { Grpc::Untold };
        self.said = told.unwrap_or(self.said);
        self.outcome = self.said;
        self
    }

    /// Trailers told how a gRPC call ends, and know better than a head that spoke too early; whether it
    /// is one.
    pub(super) fn trailers(&mut self, told: Outcome) -> bool {
        let is_grpc = self.grpc != Grpc::No;
        if is_grpc {
            self.outcome = told;
            self.grpc = Grpc::Told;
        }
        is_grpc
    }

    pub(super) fn has_no_body(&self) -> bool {
        self.no_body
    }

    /// What an answer is that was passed on whole.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the status that ends a gRPC call has not come.
    pub(super) fn lacks_status(&self) -> bool {
        self.grpc == Grpc::Untold
    }

    /// Whether so many bytes are all of the body, and nothing comes after them.
    pub(super) fn is_whole(&self, bytes: u64) -> bool {
        // Trailers come after the last byte, so without them gRPC is not whole.
        self.no_body || (self.expected == Some(bytes) && !self.lacks_status())
    }

    /// How a request with this head ends, by its outcome.
    pub(super) fn end(&self, outcome: Outcome) -> End {
        End { outcome, in_body: self.said != outcome, status: Some(self.status) }
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
