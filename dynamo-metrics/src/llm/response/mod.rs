//! An HTTP request as its answer passes: what is told of its head, its frames, its trailers.

mod ending;

use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use http::{HeaderMap, Method, response};

use super::call::Call;
use super::endpoint::EndpointMetrics;
use super::grpc::{GrpcCall, GrpcMetrics, Side, timeout_of};
use super::head::{Head, MethodKind};
use super::outcome::Outcome;
use super::reading::Reading;
use super::request::{FrontendCall, RequestMetrics};
use super::stream::{ChooseReader, Media};
use super::timing::{First, RequestRead, Start};
use super::users::UserFunction;
use crate::clock::{self, Instant};

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
#[cfg(test)]
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
        if Outcome::of_status(head.status) == Outcome::Success && media == Some(Media::Grpc) {
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
    fn begin_reading(&mut self, head: &response::Parts, media: Option<Media>, now: Instant) {
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
        let media = media.filter(|media| media.is_read(head.status));
        let start = || self.call.token_start();
        self.reading = match (chosen, media) {
            (Some(reader), media) => Some(Reading::with(reader, media, start(), now)),
            (None, Some(media)) => Some(Reading::by_head(media, &head.headers, start(), now)),
            (None, None) => None,
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
