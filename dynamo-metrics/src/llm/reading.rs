//! An answer's body that is read for its tokens as it passes, and timed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Buf;
use http::response;

use super::options::FirstToken;
use super::stream::{
    Events, Grpc, JsonAnswer, Media, Ndjson, Seen, Sse, StreamReader, TokenSource, Uninspected,
    Unread, chosen,
};
use super::tokens::{Beat, Pace};
use crate::clock::{self, Instant};

/// Slices of a frame that are looked at; what is cut finer is passed on unread.
const MOST_SLICES: usize = 16;

/// A body that is read. The reader is a part of it, so that both are one allocation.
pub(super) struct Reading<R: ?Sized = dyn StreamReader> {
    seen: Seen,
    kind: Kind,
    pace: Pace,
    start: Start,
    /// When what comes once came, after the start; by [`First`].
    firsts: [Option<Duration>; FIRSTS],
    /// The reader panicked, or cannot go on.
    lost: bool,
    reader: R,
}

/// What a body is, as far as times go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A stream: each frame is timed.
    Stream,
    /// Messages that are only counted.
    Messages,
    /// An answer in one piece.
    Unary,
}

/// Where times are counted from.
#[derive(Debug, Clone)]
pub(super) enum Start {
    At(Instant),
    /// Where the request's body ends, or else where the call was.
    Read {
        call: Instant,
        read: Arc<OnceLock<Instant>>,
    },
}

/// What comes once in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    Byte,
    Event,
    Token,
    /// A token that is not reasoning.
    Answer,
}

const FIRSTS: usize = 4;

/// What an answer came to, at its end.
#[derive(Debug)]
pub(super) struct Account<'a> {
    pub(super) seen: &'a Seen,
    pub(super) pace: &'a Pace,
    pub(super) firsts: &'a [Option<Duration>; FIRSTS],
    /// It came in one piece.
    pub(super) unary: bool,
    pub(super) tokens: u64,
    pub(super) source: TokenSource,
}

/// Tells the metrics when a request's body has been read, where token times begin there.
#[derive(Debug, Clone)]
pub struct RequestRead(pub(super) Arc<OnceLock<Instant>>);

impl RequestRead {
    /// The request's body has come to its end; the first call counts.
    pub fn ended(&self) {
        let _ = self.0.set(clock::now());
    }
}

impl Start {
    fn instant(&self) -> Instant {
        match self {
            Self::At(instant) => *instant,
            Self::Read { call, read } => read.get().copied().unwrap_or(*call),
        }
    }
}

impl First {
    /// What the time to the first token is counted to.
    pub(super) fn of(rule: FirstToken) -> Self {
        match rule {
            FirstToken::AnyByte => Self::Byte,
            FirstToken::AnyEvent => Self::Event,
            FirstToken::Content => Self::Token,
            FirstToken::Answer => Self::Answer,
        }
    }
}

impl Reading {
    /// Reads a body by what its head says of it; `None` if there is nothing to read.
    pub(super) fn by_head(
        head: &response::Parts,
        start: &Start,
        now: Instant,
    ) -> Option<Box<Self>> {
        fn boxed<R: StreamReader + 'static>(
            reader: R,
            kind: Kind,
            start: &Start,
            now: Instant,
        ) -> Box<Reading> {
            Box::new(Reading::new(reader, kind, start.clone(), now))
        }
        let (media, encoded) = chosen(head.status, &head.headers)?;
        let kind = match media {
            Media::Sse | Media::Ndjson => Kind::Stream,
            Media::Grpc => Kind::Messages,
            Media::Json => Kind::Unary,
            Media::Other => return None,
        };
        Some(match media {
            _ if encoded => boxed(Unread(Uninspected::Encoded), kind, start, now),
            Media::Sse => boxed(Sse::new(Events::default()), kind, start, now),
            Media::Ndjson => boxed(Ndjson::new(Events::default()), kind, start, now),
            Media::Grpc => boxed(Grpc::count(), kind, start, now),
            Media::Json => boxed(JsonAnswer::default(), kind, start, now),
            Media::Other => return None,
        })
    }

    /// Reads a stream with a reader that somebody chose.
    pub(super) fn with(reader: Box<dyn StreamReader>, start: Start, now: Instant) -> Box<Self> {
        Box::new(Reading::new(reader, Kind::Stream, start, now))
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The next frame is asked for.
    #[inline]
    pub(super) fn ask(&mut self) {
        if self.kind == Kind::Stream && self.pace.is_stalled() {
            self.pace.ask(clock::now());
        }
    }

    /// A frame is handed on; returns how many tokens it completes.
    #[inline]
    pub(super) fn read(&mut self, data: &impl Buf) -> u64 {
        if self.kind == Kind::Stream {
            self.pace.hand(clock::now());
        }
        let before = self.seen.tokens;
        let length = data.remaining();
        let whole = data.chunk();
        if whole.len() == length {
            self.with_reader(|reader, seen| reader.read(whole, seen));
        } else {
            self.read_slices(data);
        }
        self.seen.tokens.saturating_sub(before)
    }

    /// The body has ended; returns how many tokens that completes.
    pub(super) fn end(&mut self) -> u64 {
        let before = self.seen.tokens;
        self.with_reader(|reader, seen| reader.end(seen));
        self.seen.tokens.saturating_sub(before)
    }

    #[inline(never)]
    fn read_slices(&mut self, data: &impl Buf) {
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

    /// Whether something that comes once has not come yet.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        // The last of them to come.
        self.kind == Kind::Stream && self.firsts[First::Answer as usize].is_none()
    }

    /// Tells what came for the first time with the frame of `length` bytes that was read last.
    pub(super) fn firsts(&mut self, length: u64, mut tell: impl FnMut(First, Duration)) {
        let here = [
            (First::Byte, length > 0),
            (First::Event, self.seen.events > 0),
            (First::Token, self.seen.tokens > 0),
            (First::Answer, self.seen.answer_tokens() > 0),
        ];
        for (first, is_here) in here {
            let place = &mut self.firsts[first as usize];
            if is_here && place.is_none() {
                let time = self.pace.handed().since(self.start.instant());
                *place = Some(time);
                tell(first, time);
            }
        }
    }

    /// `tokens` tokens came with what was read last.
    #[inline]
    pub(super) fn beat(&mut self, tokens: u64) -> Option<Beat> {
        (self.kind == Kind::Stream).then(|| self.pace.beat(tokens))
    }

    /// What it came to, if a producer counted `made` tokens itself.
    pub(super) fn account(&self, made: u64) -> Account<'_> {
        let (tokens, source) = match self.seen.output_tokens() {
            (_, TokenSource::Estimated) if made > 0 => (made, TokenSource::Counted),
            told => told,
        };
        Account {
            seen: &self.seen,
            pace: &self.pace,
            firsts: &self.firsts,
            unary: self.kind != Kind::Stream,
            tokens,
            source,
        }
    }

    /// Reads no further. That the end was not seen says nothing then.
    fn let_go(&mut self, why: Uninspected) {
        self.lost = true;
        self.seen.miss(why);
        self.seen.needs_marker = false;
    }

    /// Readers are users' code as well: one that panics is let go, and the answer goes on.
    #[inline]
    fn with_reader(&mut self, work: impl FnOnce(&mut dyn StreamReader, &mut Seen)) {
        if self.lost {
            return;
        }
        let (reader, seen) = (&mut self.reader, &mut self.seen);
        if catch_unwind(AssertUnwindSafe(|| work(reader, seen))).is_err() {
            tracing::error!("a stream reader panicked; its stream is read no further");
            self.let_go(Uninspected::Panicked);
        }
    }
}

impl<R> Reading<R> {
    fn new(reader: R, kind: Kind, start: Start, now: Instant) -> Self {
        Self {
            seen: Seen::default(),
            kind,
            pace: Pace::new(now),
            start,
            firsts: [None; FIRSTS],
            lost: false,
            reader,
        }
    }
}

impl Account<'_> {
    /// The time to the first token, as `rule` has it.
    pub(super) fn ttft(&self, rule: FirstToken) -> Option<Duration> {
        self.firsts[First::of(rule) as usize]
    }
}

impl<R: ?Sized> std::fmt::Debug for Reading<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("seen", &self.seen)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}
