//! Tokens stamped where they are made, whatever comes between there and the client.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::endpoint::EndpointMetrics;
use super::served;
use super::timing::Start;
use super::users::UserFunction;
use crate::clock::{self, Instant, Nanoseconds};
use crate::sync::{AtomicBool, AtomicU64, Ordering};

/// Stamps tokens where they are made, before any channel, buffer or slow client.
///
/// The body of an answer shows when tokens are handed on. Behind a channel that is not when they
/// were made: if the client is slow, they wait there, and if it is fast again, they come in a heap.
/// A producer that says when it has made one gives the model's own times, as
/// `generation_time_to_first_token_seconds` and `generation_inter_token_latency_seconds` of the
/// request's endpoint. It also tells how many there are, where the protocol does not.
///
/// A handler asks for one while it is called or polled ([`current`](Self::current)), and gives it to
/// whoever generates; clones are of the same request.
///
/// # Unit
/// Seconds; tokens.
/// # Source
/// The request's start, and the calls of [`tokens`](Self::tokens), or the items of a
/// [`metered`](Self::metered) stream.
/// # Cost
/// A clock read, two atomic operations, and a sample in a histogram, for each call; of a metered stream
/// one more read of the clock. Nothing, if nobody measures the request.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::StreamMeter;
///
/// # let (send, mut receive) = tokio::sync::mpsc::channel::<&str>(8);
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let meter = StreamMeter::current(); // in the handler
/// tokio::spawn(async move {
///     for word in ["a", " word", " at", " a", " time"] {
///         meter.tokens(1); // when it is made, and before it waits for its turn
///         if send.send(word).await.is_err() {
///             return; // the client has left
///         }
///     }
///     meter.complete(); // nobody who leaves now has missed anything
/// });
/// # while receive.recv().await.is_some() {}
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct StreamMeter {
    /// `None` if nobody measures the request.
    endpoint: Option<EndpointMetrics>,
    start: Start,
    /// What stamps are counted from.
    since: Instant,
    made: Arc<Made>,
}

/// What was made so far, as the request's own account sees it.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// When a meter was first asked for.
    since: OnceLock<Instant>,
    tokens: AtomicU64,
    /// When the last one was made, in nanoseconds after that, and one more; 0 if none was.
    last: AtomicU64,
    complete: AtomicBool,
}

/// What a stamp has to say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stamp {
    /// The first token, this long after the start.
    First(Duration),
    Next {
        gap: Nanoseconds,
        tokens: u64,
    },
}

pin_project! {
    /// A stream whose items are stamped as it makes them.
    pub struct MeteredStream<S, F> {
        meter: StreamMeter,
        count: F,
        // When the next item was asked for, if it was.
        asked: Option<Instant>,
        // Time that it took to make what came since the last tokens.
        made_in: Nanoseconds,
        #[pin]
        inner: S,
    }
}

impl StreamMeter {
    /// The meter of the request that a layer is calling or polling on the current thread; of nobody,
    /// and so without an effect, where there is none.
    ///
    /// A task that is spawned is not part of that: ask before.
    #[must_use]
    pub fn current() -> Self {
        let of = |endpoint, start: Start, made: &Arc<Made>| {
            let since = made.since();
            Self { endpoint, start, since, made: Arc::clone(made) }
        };
        served::current(|endpoint, start, made| of(Some(endpoint.clone()), start, made))
            .unwrap_or_else(|| of(None, Start::at(clock::now()), &Arc::default()))
    }

    /// So many tokens are made now; others of the same moment say nothing of a gap.
    pub fn tokens(&self, tokens: u64) {
        if tokens == 0 {
            return;
        }
        self.make(tokens, clock::now(), None);
    }

    /// So many tokens are made `now`, which took so long if somebody measured it.
    fn make(&self, tokens: u64, now: Instant, took: Option<Nanoseconds>) {
        let Some(endpoint) = &self.endpoint else { return };
        let Nanoseconds(since) = now.span_since(self.since);
        // Clones may stamp at once; the last one never goes back.
        let last = self.made.last.fetch_max(since.saturating_add(1), Ordering::Relaxed);
        self.made.tokens.fetch_add(tokens, Ordering::Relaxed);
        endpoint.streams().stamp(match last.checked_sub(1) {
            None => Stamp::First(now.since(self.start.instant())),
            Some(last) => {
                let gap = || Nanoseconds(since.saturating_sub(last));
                Stamp::Next { gap: took.unwrap_or_else(gap), tokens }
            }
        });
    }

    /// All that the client asked for is made: the answer is a success, should the client leave
    /// before its end or the stream not say that it ends.
    pub fn complete(&self) {
        self.made.complete.store(true, Ordering::Relaxed);
    }

    /// Stamps each item of `stream`, the generator itself, as one token.
    ///
    /// A gap is then the time that the stream takes to give an item once it is asked: what its reader
    /// does in between is no part of it.
    pub fn metered<S: Stream>(self, stream: S) -> MeteredStream<S, fn(&S::Item) -> u64> {
        self.metered_by(stream, |_| 1)
    }

    /// Stamps each item of `stream` as so many tokens as `count` finds in it.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::llm::StreamMeter;
    /// use futures_util::{StreamExt, stream};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let chunks = stream::iter([vec!["two", " tokens"], vec![" one"], vec![]]);
    /// let mut chunks = StreamMeter::current().metered_by(chunks, |chunk| chunk.len() as u64);
    /// assert_eq!(chunks.next().await, Some(vec!["two", " tokens"]));
    /// # });
    /// ```
    pub fn metered_by<S: Stream, F: Fn(&S::Item) -> u64>(
        self,
        stream: S,
        count: F,
    ) -> MeteredStream<S, F> {
        MeteredStream {
            meter: self,
            count,
            asked: None,
            made_in: Nanoseconds::default(),
            inner: stream,
        }
    }
}

impl Made {
    /// What its stamps are counted from: when it was first asked for.
    fn since(&self) -> Instant {
        *self.since.get_or_init(clock::now)
    }

    /// Tokens that were made.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Relaxed)
    }

    /// Whether the producer said that it is done.
    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Relaxed)
    }
}

impl<S: Stream, F: Fn(&S::Item) -> u64> Stream for MeteredStream<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let asked = *this.asked.get_or_insert_with(clock::now);
        let item = ready!(this.inner.poll_next(cx));
        *this.asked = None;
        let now = clock::now();
        *this.made_in += now.span_since(asked);
        if let Some(item) = &item {
            // What a user wrote may panic; the item goes on.
            let tokens = UserFunction::Count.ask(|| Some((this.count)(item))).unwrap_or(0);
            if tokens > 0 {
                this.meter.make(tokens, now, Some(std::mem::take(this.made_in)));
            }
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<S: fmt::Debug, F> fmt::Debug for MeteredStream<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeteredStream").field("inner", &self.inner).finish_non_exhaustive()
    }
}
