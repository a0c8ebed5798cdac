//! The rules by which an HTTP answer ends.
//!
//! A server stops polling a body in more ways than at its `None`: after the last byte of a declared
//! length, at once if there is nothing to send, or because the client is gone. The first of these
//! that is seen ends the request; a drop without any of them is read by what came before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, response};

use super::call::Call;
use super::endpoint::EndpointMetrics;
use super::grpc::{GrpcCall, GrpcMetrics, Side, timeout_of};
use super::outcome::{End, Outcome};
use super::request::{FrontendCall, RequestMetrics};
use super::stream::{
    ChooseReader, Seen, StreamReader, Uninspected, is_event_stream, is_grpc, reader_for,
};
use super::tokens::TokenClock;
use crate::clock;

/// Slices of a frame that are looked at; what is cut finer is passed on unread.
const MOST_SLICES: usize = 16;

/// What a timer may be early by, to another clock than its own.
const TIMER_SLACK: Duration = Duration::from_millis(1);

/// One HTTP request, from the call of the service to the end of the answer's body.
///
/// It ends exactly once. Dropped before that, it ends as what the rules make of it: a panic if the
/// thread is panicking, complete if all of a declared length or the stream's terminal marker has
/// passed, cancelled otherwise.
pub struct ResponseState {
    call: Call,
    frontend: Option<FrontendCall>,
    grpc: Option<GrpcCall>,
    choose_reader: Option<ChooseReader>,
    /// HEAD and CONNECT change what a body is.
    method: MethodKind,
    head: Option<Head>,
    /// Body bytes that were passed on.
    bytes: u64,
    stream: Option<Stream>,
    ended: bool,
    /// How long its client waits, if it said.
    deadline: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MethodKind {
    Head,
    Connect,
    Other,
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

#[derive(Debug)]
struct Head {
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

/// A body that is read for its tokens.
struct Stream {
    /// `None` once it panicked.
    reader: Option<Box<dyn StreamReader>>,
    seen: Seen,
    clock: TokenClock,
}

impl ResponseState {
    /// A request came in.
    #[must_use]
    pub fn start(endpoint: &EndpointMetrics, method: &Method) -> Self {
        let mut state = Self::from_call(Call::start(endpoint.clone()).opened());
        state.method = match *method {
            Method::HEAD => MethodKind::Head,
            Method::CONNECT => MethodKind::Connect,
            _ => MethodKind::Other,
        };
        state
    }

    /// The request is one of a frontend's, which its handler tells more of through `request`.
    #[must_use]
    pub fn with_frontend(mut self, request: &RequestMetrics) -> Self {
        self.frontend = Some(FrontendCall::start(request));
        self
    }

    /// The request is one of a gRPC method, whose answer is seen from `side`.
    #[must_use]
    pub fn with_grpc(mut self, method: &GrpcMetrics, side: Side) -> Self {
        self.grpc = Some(GrpcCall::start(method, side));
        self
    }

    /// Its client waits as long as these headers say by gRPC's `grpc-timeout`: dropped or failed after
    /// that, it took too long.
    #[must_use]
    pub fn with_deadline(mut self, headers: &HeaderMap) -> Self {
        self.deadline = timeout_of(headers);
        self
    }

    /// The reader of its stream is chosen by `choose`, if that makes a choice.
    #[must_use]
    pub fn with_reader(mut self, choose: &ChooseReader) -> Self {
        self.choose_reader = Some(Arc::clone(choose));
        self
    }

    /// A request that nobody measures.
    #[must_use]
    pub fn unmeasured() -> Self {
        Self::from_call(Call::unmeasured())
    }

    /// A call that goes on as an answer.
    pub(crate) fn from_call(call: Call) -> Self {
        Self {
            call,
            frontend: None,
            grpc: None,
            choose_reader: None,
            method: MethodKind::Other,
            head: None,
            bytes: 0,
            stream: None,
            ended: false,
            deadline: None,
        }
    }

    /// Runs `work`, which is a part of serving this request: calls or polls what answers it.
    ///
    /// An annotated function within does not count the request again. A panic in there is this
    /// request's, even if somebody catches it.
    pub fn serve<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let _serving = self.call.serving();
        self.call.run(work)
    }

    /// The service answered with an error instead of a response.
    pub fn service_error(&mut self) {
        self.end(if self.is_late() { Outcome::Timeout } else { Outcome::ServerError });
    }

    /// The head of the response is ready. `ended` and `length` are what its body says of itself
    /// (`is_end_stream`, and the exact `size_hint` if it has one).
    pub fn head(&mut self, head: &response::Parts, ended: bool, length: Option<u64>) {
        let status = head.status;
        // This rule comes before any look at Content-Length, which may be there all the same.
        let no_body = self.method == MethodKind::Head
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || (self.method == MethodKind::Connect && status.is_success());
        let mut outcome = Outcome::of_status(status);
        let mut grpc = Grpc::No;
        if outcome == Outcome::Success && is_grpc(&head.headers) {
            if let Some(call) = &mut self.grpc {
                call.head(&head.headers);
            }
            (grpc, outcome) = match self.grpc_status(&head.headers) {
                Some(of_trailers_only) => (Grpc::Told, of_trailers_only),
                None if no_body => (Grpc::Told, outcome),
                None => (Grpc::Untold, outcome),
            };
        }
        self.head = Some(Head {
            status,
            said: outcome,
            outcome,
            grpc,
            no_body,
            expected: declared_length(&head.headers).or(length),
        });
        if is_event_stream(&head.headers)
            && let Some(frontend) = &self.frontend
        {
            frontend.streams();
        }
        if no_body || ended {
            return self.complete();
        }
        if self.call.endpoint().is_none() && self.frontend.is_none() {
            return;
        }
        // What a user wrote may panic; the answer goes on without it.
        let chosen = self
            .choose_reader
            .take()
            .and_then(|choose| catch_unwind(AssertUnwindSafe(|| choose(head))).ok().flatten());
        self.stream = chosen.or_else(|| reader_for(status, &head.headers)).map(|reader| Stream {
            reader: Some(reader),
            seen: Seen::default(),
            clock: TokenClock::new(self.call.started()),
        });
    }

    /// The body gave `data`, and says whether that was all.
    pub fn data(&mut self, data: &impl Buf, ended: bool) {
        if self.ended {
            return;
        }
        let length = data.remaining() as u64;
        self.bytes += length;
        if let Some(endpoint) = self.call.endpoint() {
            endpoint.response_bytes().inc_by(length);
        }
        if let Some(grpc) = &mut self.grpc {
            grpc.data(data);
        }
        if let Some(stream) = &mut self.stream {
            let before = stream.seen.tokens;
            stream.read(data);
            self.tokens_after(before);
        }
        if ended {
            self.complete();
        }
    }

    /// The body gave trailers, which end it.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        let told = self.grpc_status(trailers);
        if let (Some(head), Some(outcome)) = (&mut self.head, told)
            && head.grpc != Grpc::No
        {
            // Trailers know better than a head that spoke too early.
            head.outcome = outcome;
            head.grpc = Grpc::Told;
            if let Some(call) = &mut self.grpc {
                call.status(trailers);
            }
        }
        self.complete();
    }

    /// How a call ends whose head or trailers these are, if they say it.
    fn grpc_status(&self, headers: &HeaderMap) -> Option<Outcome> {
        let status = headers.get("grpc-status")?.as_bytes();
        Some(match &self.grpc {
            Some(call) => call.outcome_of(status),
            None => Outcome::of_grpc(status),
        })
    }

    /// The body failed.
    pub fn body_error(&mut self) {
        self.end(Outcome::ServerError);
    }

    /// The body gave all that it has.
    pub fn complete(&mut self) {
        if self.ended {
            return;
        }
        self.end_stream();
        self.end(self.outcome_of_all());
    }

    /// Nothing more of the stream will come: its reader tells what it held back.
    fn end_stream(&mut self) {
        if let Some(stream) = &mut self.stream {
            let before = stream.seen.tokens;
            stream.with_reader(|reader, seen| reader.end(seen));
            self.tokens_after(before);
        }
    }

    /// What an answer is that was passed on whole.
    fn outcome_of_all(&self) -> Outcome {
        match (&self.head, &self.stream) {
            (_, Some(stream)) if stream.seen.failed => Outcome::ServerError,
            (_, Some(stream)) if stream.seen.needs_marker && !stream.seen.complete => {
                Outcome::Incomplete
            }
            (Some(head), _) if head.grpc == Grpc::Untold => Outcome::Incomplete,
            (Some(head), _) => head.outcome,
            (None, _) => Outcome::Success,
        }
    }

    /// Records what the stream's reader saw since there were `before` tokens.
    fn tokens_after(&mut self, before: u64) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let tokens = stream.seen.tokens.saturating_sub(before);
        if tokens == 0 {
            return;
        }
        let beat = stream.clock.beat(clock::now(), tokens);
        self.call.beat(beat);
        self.call.output_tokens(tokens);
        if let Some(frontend) = &mut self.frontend {
            frontend.beat(beat);
            frontend.output_tokens(tokens);
        }
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = End {
            outcome,
            in_body: self.head.as_ref().is_some_and(|head| head.said != outcome),
            status: self.head.as_ref().map(|head| head.status),
        };
        if let Some(grpc) = self.grpc.take() {
            grpc.end();
        }
        if let Some(seen) = self.stream.as_ref().map(|stream| stream.seen) {
            self.usage(seen);
        }
        if let Some(frontend) = &mut self.frontend {
            frontend.end(end, self.call.started().elapsed());
        }
        self.call.end(end);
    }

    /// The stream's own account of its tokens, where it gave one.
    fn usage(&mut self, seen: Seen) {
        let Some(usage) = seen.usage else { return };
        let uncounted = usage.output_tokens.saturating_sub(seen.tokens);
        if uncounted > 0 {
            self.call.output_tokens(uncounted);
        }
        if let Some(frontend) = &mut self.frontend {
            frontend.usage(usage, uncounted);
        }
    }

    /// Whether nobody waits for it any more.
    fn is_late(&self) -> bool {
        let waited = || self.call.started().elapsed() + TIMER_SLACK;
        self.deadline.is_some_and(|deadline| waited() >= deadline)
    }

    /// What a drop says, going by what came before it.
    fn outcome_of_drop(&self) -> Outcome {
        let dropped = match self.call.outcome_of_drop() {
            Outcome::Cancelled if self.is_late() => Outcome::Timeout,
            dropped => dropped,
        };
        let Some(head) = &self.head else { return dropped };
        if dropped == Outcome::Panic {
            return dropped;
        }
        let seen = self.stream.as_ref().map(|stream| stream.seen).unwrap_or_default();
        // Servers drop a body of a declared length right after its last byte, and the sync OpenAI
        // client closes the connection at the marker. What failed by its own account was not
        // cancelled. Trailers come after the last byte, so without them gRPC is not whole.
        let whole = head.expected == Some(self.bytes) && head.grpc != Grpc::Untold;
        if head.no_body || whole || seen.complete || seen.failed {
            self.outcome_of_all()
        } else {
            dropped
        }
    }
}

impl Drop for ResponseState {
    fn drop(&mut self) {
        if !self.ended {
            self.end_stream();
            self.end(self.outcome_of_drop());
        }
    }
}

impl Stream {
    fn read(&mut self, data: &impl Buf) {
        let mut slices = [std::io::IoSlice::new(&[]); MOST_SLICES];
        let filled = data.chunks_vectored(&mut slices);
        let slices = slices.get(..filled).unwrap_or_default();
        // A buffer need not show all of itself, and a stream with a gap cannot be read on.
        if slices.iter().map(|slice| slice.len()).sum::<usize>() < data.remaining() {
            tracing::debug!("a frame cannot be looked at whole; its stream is read no further");
            return self.let_go(Uninspected::Hidden);
        }
        self.with_reader(|reader, seen| {
            for slice in slices {
                reader.read(slice, seen);
            }
        });
    }

    /// Reads no further. That the end was not seen says nothing then.
    fn let_go(&mut self, why: Uninspected) {
        self.reader = None;
        self.seen.miss(why);
        self.seen.needs_marker = false;
    }

    /// Readers are users' code as well: one that panics is let go, and the answer goes on.
    fn with_reader(&mut self, work: impl FnOnce(&mut dyn StreamReader, &mut Seen)) {
        let Some(reader) = &mut self.reader else { return };
        let seen = &mut self.seen;
        if catch_unwind(AssertUnwindSafe(|| work(&mut **reader, seen))).is_err() {
            tracing::error!("a stream reader panicked; its stream is read no further");
            self.let_go(Uninspected::Panicked);
        }
    }
}

impl std::fmt::Debug for ResponseState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseState")
            .field("call", &self.call)
            .field("head", &self.head)
            .field("bytes", &self.bytes)
            .field("stream", &self.stream)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}
