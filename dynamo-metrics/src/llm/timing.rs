//! When a stream's tokens came: what comes once, and the pace of the rest.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::options::FirstToken;
use super::stream::Seen;
use super::tokens::Pace;
use crate::clock::{self, Instant};

/// The times of one stream.
#[derive(Debug)]
pub(super) struct Timing {
    pub(super) pace: Pace,
    start: Start,
    /// When what comes once came, after the start; by [`First`].
    firsts: [Option<Duration>; FIRSTS],
}

/// Where times are counted from.
#[derive(Debug, Clone)]
pub(super) struct Start {
    pub(super) at: Instant,
    /// Where the request's body ends, once it does, where that is the start.
    pub(super) read: Option<Arc<OnceLock<Instant>>>,
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

/// Tells the metrics when a request's body has been read, where token times begin there.
#[derive(Debug, Clone)]
pub struct RequestRead(Arc<OnceLock<Instant>>);

impl RequestRead {
    /// The request's body has come to its end; the first call counts.
    pub fn ended(&self) {
        let _ = self.0.set(clock::now());
    }
}

impl Start {
    #[inline]
    pub(super) fn at(at: Instant) -> Self {
        Self { at, read: None }
    }

    /// Where a request's body ends, or else where it was called.
    pub(super) fn where_read(called: Instant) -> (Self, RequestRead) {
        let read = Arc::new(OnceLock::new());
        (Self { at: called, read: Some(Arc::clone(&read)) }, RequestRead(read))
    }

    #[inline]
    pub(super) fn instant(&self) -> Instant {
        self.read.as_ref().and_then(|read| read.get().copied()).unwrap_or(self.at)
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

impl Timing {
    /// A stream whose head was handed on `now`.
    pub(super) fn new(start: Start, now: Instant) -> Self {
        Self { pace: Pace::new(now), start, firsts: [None; FIRSTS] }
    }

    /// Time from the start to `now`.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        now.since(self.start.instant())
    }

    /// The next frame is asked for.
    #[inline]
    pub(super) fn ask(&mut self) {
        if self.pace.is_stalled() {
            self.pace.ask(clock::now());
        }
    }

    /// A frame is handed on.
    #[inline]
    pub(super) fn hand(&mut self) {
        self.pace.hand(clock::now());
    }

    /// Whether something that comes once has not come yet.
    #[inline]
    pub(super) fn is_new(&self) -> bool {
        // The last of them to come.
        self.firsts[First::Answer as usize].is_none()
    }

    /// Tells what came for the first time with the frame of `length` bytes that was handed on last.
    pub(super) fn firsts(
        &mut self,
        seen: &Seen,
        length: u64,
        mut tell: impl FnMut(First, Duration),
    ) {
        let here = [
            (First::Byte, length > 0),
            (First::Event, seen.events > 0),
            (First::Token, seen.tokens > 0),
            (First::Answer, seen.answer_tokens() > 0),
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

    /// The time to the first token, as `rule` has it.
    pub(super) fn first(&self, rule: FirstToken) -> Option<Duration> {
        self.firsts[First::of(rule) as usize]
    }
}
