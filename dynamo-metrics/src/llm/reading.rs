//! An answer's body that is read for its tokens as it passes, and timed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::Buf;
use http::HeaderMap;

use super::stream::{
    Events, Grpc, JsonAnswer, Media, Ndjson, Seen, Sse, StreamReader, TokenSource, Uninspected,
    Unread, is_encoded,
};
use super::timing::{First, Start, Timing};
use super::tokens::Beat;
use crate::clock::Instant;

/// Slices of a frame that are looked at; what is cut finer is passed on unread.
const MOST_SLICES: usize = 16;

/// A body that is read. The reader is a part of it, so that both are one allocation.
pub(super) struct Reading<R: ?Sized = dyn StreamReader> {
    seen: Seen,
    kind: Kind,
    timing: Timing,
    /// The reader panicked, or cannot go on.
    lost: bool,
    reader: R,
}

/// What a body is, as far as times go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A stream: each frame is timed.
    Stream,
    /// Messages that are only counted.
    Messages,
    /// An answer in one piece.
    Unary,
}

/// What an answer came to, at its end.
#[derive(Debug)]
pub(super) struct Account<'a> {
    pub(super) seen: &'a Seen,
    pub(super) timing: &'a Timing,
    pub(super) kind: Kind,
    pub(super) tokens: u64,
    pub(super) source: TokenSource,
}

impl<'a> Account<'a> {
    /// What an answer came to of whose tokens a producer counted `made` itself.
    pub(super) fn new(seen: &'a Seen, timing: &'a Timing, kind: Kind, made: u64) -> Self {
        let (tokens, source) = match seen.output_tokens() {
            // A producer that counted less than was seen did not count all.
            (tokens, TokenSource::Estimated) if made > 0 && made >= tokens => {
                (made, TokenSource::Counted)
            }
            told => told,
        };
        Self { seen, timing, kind, tokens, source }
    }
}

impl Reading {
    /// Reads a body by what its head says of it.
    pub(super) fn by_head(
        media: Media,
        headers: &HeaderMap,
        start: Start,
        now: Instant,
    ) -> Box<Self> {
        fn boxed<R: StreamReader + 'static>(
            reader: R,
            kind: Kind,
            start: Start,
            now: Instant,
        ) -> Box<Reading> {
            Box::new(Reading::new(reader, kind, start, now))
        }
        let kind = match media {
            Media::Sse | Media::Ndjson => Kind::Stream,
            Media::Grpc => Kind::Messages,
            Media::Json => Kind::Unary,
        };
        match media {
            _ if is_encoded(headers) => boxed(Unread(Uninspected::Encoded), kind, start, now),
            Media::Sse => boxed(Sse::new(Events::default()), kind, start, now),
            Media::Ndjson => boxed(Ndjson::new(Events::default()), kind, start, now),
            Media::Grpc => boxed(Grpc::count(), kind, start, now),
            Media::Json => boxed(JsonAnswer::default(), kind, start, now),
        }
    }

    /// Reads a body with a reader that somebody chose: as a stream, unless it is JSON.
    pub(super) fn with(
        reader: Box<dyn StreamReader>,
        media: Option<Media>,
        start: Start,
        now: Instant,
    ) -> Box<Self> {
        let kind = if media == Some(Media::Json) { Kind::Unary } else { Kind::Stream };
        Box::new(Reading::new(reader, kind, start, now))
    }

    /// Whether its frames are timed.
    pub(super) fn is_stream(&self) -> bool {
        self.kind == Kind::Stream
    }

    /// When the last frame was handed on.
    pub(super) fn handed(&self) -> Instant {
        self.timing.pace.handed()
    }

    /// Nothing more is handed on.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.kind == Kind::Stream {
            self.timing.pace.finish(now);
        }
    }

    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The next frame is asked for.
    #[inline]
    pub(super) fn ask(&mut self) {
        if self.kind == Kind::Stream {
            self.timing.ask();
        }
    }

    /// A frame is handed on; returns how many tokens it completes.
    #[inline]
    pub(super) fn read(&mut self, data: &impl Buf) -> u64 {
        if self.kind == Kind::Stream {
            self.timing.hand();
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
        self.kind == Kind::Stream && self.timing.is_new()
    }

    /// Tells what came for the first time with the frame of `length` bytes that was read last.
    pub(super) fn firsts(&mut self, length: u64, tell: impl FnMut(First, Duration)) {
        self.timing.firsts(&self.seen, length, tell);
    }

    /// `tokens` tokens came with what was read last.
    #[inline]
    pub(super) fn beat(&mut self, tokens: u64) -> Option<Beat> {
        (self.kind == Kind::Stream).then(|| self.timing.pace.beat(tokens))
    }

    /// What it came to, if a producer counted `made` tokens itself.
    pub(super) fn account(&self, made: u64) -> Account<'_> {
        Account::new(&self.seen, &self.timing, self.kind, made)
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
        let timing = Timing::new(start, now);
        Self { seen: Seen::default(), kind, timing, lost: false, reader }
    }
}

impl<R: ?Sized> std::fmt::Debug for Reading<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("seen", &self.seen)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}
