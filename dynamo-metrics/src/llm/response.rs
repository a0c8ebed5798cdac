//! The rules by which an HTTP answer ends.
//!
//! A server stops polling a body in more ways than at its `None`: after the last byte of a declared
//! length, at once if there is nothing to send, or because the client is gone. The first of these
//! that is seen ends the request; a drop without any of them is read by what came before.

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{HeaderMap, Method, response};

use super::call::Call;
use super::endpoint::EndpointMetrics;
use super::grpc::{GrpcCall, GrpcMetrics, Side, timeout_of};
use super::head::{Head, MethodKind};
use super::meter::Made;
use super::outcome::{End, Outcome};
use super::reading::{Account, Kind, Reading};
use super::request::{FrontendCall, RequestMetrics};
use super::stream::{ChooseReader, Media, Seen};
use super::timing::{First, RequestRead, Start, Timing};
use super::users::UserFunction;
use crate::clock::{self, Instant};

/// What a timer may be early by, to another clock than its own.
const TIMER_SLACK: Duration = Duration::from_millis(1);

/// One HTTP request, from the call of the service to the end of the answer's body.
///
/// It ends exactly once. Dropped before that, it ends as what the rules make of it: a panic if the
/// thread is panicking, complete if all of a declared length or the stream's terminal marker has
/// passed, cancelled otherwise.
pub struct ResponseState {
    call: Call,
    head: Option<Head>,
    /// Body bytes that were passed on.
    bytes: u64,
    reading: Option<Box<Reading>>,
    extras: Option<Box<Extras>>,
    method: MethodKind,
    ended: bool,
}

// It is moved with each request: from the future to the response to the body.
const _: () = assert!(size_of::<ResponseState>() <= 128, "two cache lines");

/// What not every request has: it would be moved with each of them.
#[derive(Default)]
struct Extras {
    frontend: Option<FrontendCall>,
    grpc: Option<GrpcCall>,
    choose_reader: Option<ChooseReader>,
    /// How long its client waits, if it said.
    deadline: Option<Duration>,
}

impl ResponseState {
    /// A request came in.
    #[must_use]
    pub fn start(endpoint: &EndpointMetrics, method: &Method) -> Self {
        let mut state = Self::from_call(Call::start(endpoint.clone()).opened());
        state.method = MethodKind::of(method);
        state
    }

    /// The request is one of a frontend's, which its handler tells more of through `request`.
    #[must_use]
    pub fn with_frontend(mut self, request: &RequestMetrics) -> Self {
        self.extras().frontend = Some(FrontendCall::start(request));
        self
    }

    /// The request is one of a gRPC method, whose answer is seen from `side`.
    #[must_use]
    pub fn with_grpc(mut self, method: &GrpcMetrics, side: Side) -> Self {
        self.extras().grpc = Some(GrpcCall::start(method, side));
        self
    }

    /// Its client waits as long as these headers say by gRPC's `grpc-timeout`: dropped or failed after
    /// that, it took too long.
    #[must_use]
    pub fn with_deadline(mut self, headers: &HeaderMap) -> Self {
        if let Some(deadline) = timeout_of(headers) {
            self.extras().deadline = Some(deadline);
        }
        self
    }

    /// The reader of its stream is chosen by `choose`, if that makes a choice.
    #[must_use]
    pub fn with_reader(mut self, choose: &ChooseReader) -> Self {
        self.extras().choose_reader = Some(Arc::clone(choose));
        self
    }

    /// The times of its tokens begin at `start`, and not at the call.
    #[must_use]
    pub fn tokens_since(mut self, start: Instant) -> Self {
        self.call.tokens_since(Start::at(start));
        self
    }

    /// The times of its tokens begin where the request's body has been read, which whoever reads it
    /// has to tell; at the call, should it never be.
    #[must_use]
    pub fn tokens_since_read(mut self) -> (Self, RequestRead) {
        let (start, read) = Start::where_read(self.call.started());
        self.call.tokens_since(start);
        (self, read)
    }

    /// Whether its endpoint counts it: not if it is a part of a request that a layer counts there.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.call.endpoint().is_some()
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
            head: None,
            bytes: 0,
            reading: None,
            extras: None,
            method: MethodKind::Other,
            ended: false,
        }
    }

    fn extras(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    #[inline]
    fn grpc(&mut self) -> Option<&mut GrpcCall> {
        self.extras.as_mut()?.grpc.as_mut()
    }

    #[inline]
    fn frontend(&mut self) -> Option<&mut FrontendCall> {
        self.extras.as_mut()?.frontend.as_mut()
    }

    /// Runs `work`, which is a part of serving this request: calls or polls what answers it.
    ///
    /// An annotated function within does not count the request again, and
    /// [`StreamMeter::current`](super::StreamMeter::current) is this request's. A panic in there is
    /// this request's, even if somebody catches it. Once there is a stream, this is where its next
    /// frame is asked for.
    pub fn serve<T>(&mut self, work: impl FnOnce() -> T) -> T {
        if let Some(reading) = &mut self.reading {
            reading.ask();
        }
        self.call.serve(work)
    }

    /// The service answered with an error instead of a response.
    pub fn service_error(&mut self) {
        let late = self.is_late();
        self.end(if late { Outcome::Timeout } else { Outcome::ServerError }, clock::now());
    }

    /// The head of the response is ready. `ended` and `length` are what its body says of itself
    /// (`is_end_stream`, and the exact `size_hint` if it has one).
    pub fn head(&mut self, head: &response::Parts, ended: bool, length: Option<u64>) {
        let media = Media::of(&head.headers);
        let mut said = Head::new(head, self.method, length);
        if said.is_good() && media == Media::Grpc {
            if let Some(call) = self.grpc() {
                call.head(&head.headers);
            }
            said = said.of_grpc(self.grpc_status(&head.headers));
        }
        let no_body = said.has_no_body();
        self.head = Some(said);
        let now = clock::now();
        if let Some(endpoint) = self.call.endpoint() {
            endpoint.head(now.since(self.call.started()));
        }
        if no_body || ended {
            return self.end(self.outcome_of_all(), now);
        }
        self.begin_reading(head, media, now);
    }

    /// Chooses who reads the body.
    fn begin_reading(&mut self, head: &response::Parts, media: Media, now: Instant) {
        let (endpoint, extras) = (self.call.endpoint(), self.extras.as_deref());
        let frontend = extras.and_then(|extras| extras.frontend.as_ref());
        if endpoint.is_none() && frontend.is_none() {
            return;
        }
        let choose = |choose: &ChooseReader| UserFunction::Reader.ask(|| choose(head));
        let chosen = endpoint
            .and_then(|endpoint| endpoint.reader().and_then(choose))
            .or_else(|| extras.and_then(|extras| extras.choose_reader.as_ref()).and_then(choose))
            .or_else(|| endpoint.and_then(EndpointMetrics::last_reader).and_then(choose));
        self.reading = match chosen {
            Some(reader) => Some(Reading::with(reader, media, head, self.call.token_start(), now)),
            None => Reading::by_head(media, head, self.call.token_start(), now),
        };
        if let (Some(reading), Some(frontend)) = (&self.reading, frontend)
            && reading.is_stream()
        {
            frontend.streams();
        }
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
        if let Some(grpc) = self.grpc() {
            grpc.data(data);
        }
        if let Some(reading) = &mut self.reading {
            let tokens = reading.read(data);
            self.told(tokens, length);
        }
        if ended {
            self.complete();
        }
    }

    /// The body gave trailers, which end it.
    pub fn trailers(&mut self, trailers: &HeaderMap) {
        let told = self.grpc_status(trailers);
        if let (Some(head), Some(outcome)) = (&mut self.head, told)
            && head.trailers(outcome)
            && let Some(call) = self.grpc()
        {
            call.status(trailers);
        }
        self.complete();
    }

    /// How a call ends whose head or trailers these are, if they say it.
    fn grpc_status(&self, headers: &HeaderMap) -> Option<Outcome> {
        let status = headers.get("grpc-status")?.as_bytes();
        let call = self.extras.as_ref().and_then(|extras| extras.grpc.as_ref());
        Some(match call {
            Some(call) => call.outcome_of(status),
            None => Outcome::of_grpc(status),
        })
    }

    /// The body failed.
    pub fn body_error(&mut self) {
        self.end(Outcome::ServerError, clock::now());
    }

    /// The body gave all that it has.
    pub fn complete(&mut self) {
        if self.ended {
            return;
        }
        self.end_reading();
        self.end(self.outcome_of_all(), clock::now());
    }

    /// Nothing more of the stream will come: its reader tells what it held back.
    fn end_reading(&mut self) {
        if let Some(reading) = &mut self.reading {
            let tokens = reading.end();
            self.told(tokens, 0);
        }
    }

    /// What an answer is that was passed on whole.
    fn outcome_of_all(&self) -> Outcome {
        match (&self.head, self.seen()) {
            (_, Some(seen)) if seen.failed => Outcome::ServerError,
            (_, Some(seen)) if seen.needs_marker && !seen.complete && !self.is_made() => {
                Outcome::Incomplete
            }
            (Some(head), _) if head.lacks_status() && !self.is_made() => Outcome::Incomplete,
            (Some(head), _) => head.outcome(),
            (None, _) => Outcome::Success,
        }
    }

    fn seen(&self) -> Option<&Seen> {
        self.reading.as_ref().map(|reading| reading.seen())
    }

    /// Whether its producer says that all is made.
    fn is_made(&self) -> bool {
        self.call.made().is_some_and(Made::is_complete)
    }

    /// Records what was read with a frame of `length` bytes, `tokens` of it new.
    #[inline]
    fn told(&mut self, tokens: u64, length: u64) {
        let Some(reading) = &mut self.reading else { return };
        if reading.is_new() {
            self.told_first(length);
        }
        if tokens == 0 {
            return;
        }
        let Some(reading) = &mut self.reading else { return };
        let beat = reading.beat(tokens);
        if let Some(beat) = beat {
            self.call.beat(beat);
        }
        self.call.output_tokens(tokens);
        if let Some(frontend) = self.frontend() {
            if let Some(beat) = beat {
                frontend.beat(beat);
            }
            frontend.output_tokens(tokens);
        }
    }

    /// Records what comes once in a stream, if it came.
    #[inline(never)]
    fn told_first(&mut self, length: u64) {
        let Some(reading) = &mut self.reading else { return };
        let mut frontend = self.extras.as_mut().and_then(|extras| extras.frontend.as_mut());
        if let Some(frontend) = &mut frontend {
            frontend.answers_as(&reading.seen().model);
        }
        let reasoned = reading.seen().reasoning_tokens > 0;
        let endpoint = self.call.endpoint();
        // A frontend's times have Dynamo's rules, whatever the endpoint chooses.
        let since_call = reading.handed().since(self.call.started());
        reading.firsts(length, |first, time| {
            if let Some(endpoint) = endpoint {
                endpoint.streams().first(first, time, reasoned);
            }
            if let (First::Token, Some(frontend)) = (first, &frontend) {
                frontend.first_token(since_call);
            }
        });
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = match &self.head {
            Some(head) => head.end(outcome),
            None => End { outcome, in_body: false, status: None },
        };
        let mut of_frontend = end;
        let (mut frontend, grpc) = match self.extras.as_deref_mut() {
            Some(extras) => (extras.frontend.as_mut(), extras.grpc.take()),
            None => (None, None),
        };
        if let Some(grpc) = grpc {
            of_frontend.status = grpc.as_http().or(end.status);
            grpc.end();
        }
        let mut reading = self.reading.take();
        if let Some(reading) = &mut reading {
            reading.finish(now);
        }
        // What a client that left was not handed on is nobody's.
        let made = if outcome == Outcome::Cancelled { None } else { self.call.made() };
        let made = made.map_or(0, Made::tokens);
        let unread;
        let account = match &reading {
            Some(reading) => Some(reading.account(made)),
            None if made > 0 => {
                unread = (Seen::default(), Timing::new(self.call.token_start(), now));
                Some(Account::new(&unread.0, &unread.1, Kind::Messages, made))
            }
            None => None,
        };
        if let Some(account) = &account {
            // What was not counted as it passed.
            let uncounted = account.tokens.saturating_sub(account.seen.tokens);
            if uncounted > 0 {
                self.call.output_tokens(uncounted);
            }
            if let Some(frontend) = &mut frontend {
                frontend.account(account, uncounted);
            }
        }
        if let Some(frontend) = &mut frontend {
            frontend.end(of_frontend, now.since(self.call.started()));
        }
        self.call.end_at(end, now, None, account.as_ref());
    }

    /// Whether nobody waits for it any more.
    fn is_late(&self) -> bool {
        let waited = || self.call.started().elapsed() + TIMER_SLACK;
        let deadline = self.extras.as_ref().and_then(|extras| extras.deadline);
        deadline.is_some_and(|deadline| waited() >= deadline)
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
        let (complete, failed) =
            self.seen().map_or((false, false), |seen| (seen.complete, seen.failed));
        // Triton's client cancels a call that it could ask more of, once it has the last response.
        if head.lacks_status() && (complete || self.is_made()) && !failed {
            return head.outcome();
        }
        // Servers drop a body of a declared length right after its last byte, and the sync OpenAI
        // client closes the connection at the marker. What failed by its own account was not
        // cancelled.
        if head.is_whole(self.bytes) || complete || failed || self.is_made() {
            self.outcome_of_all()
        } else {
            dropped
        }
    }
}

impl Drop for ResponseState {
    fn drop(&mut self) {
        if !self.ended {
            self.end_reading();
            self.end(self.outcome_of_drop(), clock::now());
        }
    }
}

impl std::fmt::Debug for ResponseState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseState")
            .field("call", &self.call)
            .field("head", &self.head)
            .field("bytes", &self.bytes)
            .field("reading", &self.reading)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
