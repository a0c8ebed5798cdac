//! One run of an endpoint: counted at its start, in flight until its end, ended exactly once.

use std::time::Duration;

use super::cancel::CancelReason;
use super::endpoint::EndpointMetrics;
use super::meter::Made;
use super::meter::Stamp;
use super::outcome::{End, Outcome};
use super::reading::Account;
use super::served::{self, Counted};
use super::timing::{First, Start};
use super::tokens::Beat;
use crate::clock::{self, Instant};
use crate::metric::TraceContext;

/// What a call is that is dropped before its end, and was no panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Neither a success nor a failure.
    Separate,
    /// A failure.
    Error,
    /// Nothing that is counted.
    Ignore,
}

/// How a call is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) cancelled: Cancelled,
    /// It is in flight until its end.
    pub(crate) in_flight: bool,
    /// Its stream is pulled by whoever reads it, so that what it makes is made when it is asked for.
    pub(crate) pulled: bool,
    /// Somebody counts the tokens of its items.
    pub(crate) counted: bool,
}

/// One run of an endpoint. Dropped without an end, it counts as cancelled, or as a panic if the
/// thread is panicking.
#[derive(Debug)]
pub struct Call {
    start: Instant,
    counted: Counted,
    /// What it runs is being polled; a drop that finds this was left by a panic, caught or not.
    running: bool,
    /// Whoever waits for the endpoint's last open request waits for this one.
    open: bool,
    terms: Terms,
    /// Whether it went well, where somebody knows better than its value's type.
    verdict: Option<bool>,
    /// Where its exemplars lead; few calls have one, and all are moved.
    trace: Option<Box<TraceContext>>,
}

impl Terms {
    pub(crate) const fn new() -> Self {
        Self { cancelled: Cancelled::Separate, in_flight: true, pulled: true, counted: false }
    }
}

impl Call {
    /// Counts a run of `endpoint`, unless it is a part of one that a layer counts.
    pub(crate) fn start(endpoint: EndpointMetrics) -> Self {
        Self::start_as(endpoint, Terms::new())
    }

    /// The same, counted otherwise.
    pub(crate) fn start_as(endpoint: EndpointMetrics, terms: Terms) -> Self {
        let endpoint = (!served::is_within(endpoint.id())).then_some(endpoint);
        if let Some(endpoint) = &endpoint {
            endpoint.start(terms);
        }
        Self::counting(endpoint, terms)
    }

    /// The call is open until its end, for whoever waits for the last one.
    pub(crate) fn opened(mut self) -> Self {
        if let Some(endpoint) = self.endpoint() {
            endpoint.open().enter();
            self.open = true;
        }
        self
    }

    /// A call that nobody counts.
    pub(crate) fn unmeasured() -> Self {
        Self::counting(None, Terms::new())
    }

    #[inline]
    fn counting(endpoint: Option<EndpointMetrics>, terms: Terms) -> Self {
        let start = clock::now();
        Self {
            start,
            counted: Counted { endpoint, start: Start::at(start), made: None },
            running: false,
            open: false,
            terms,
            verdict: None,
            trace: None,
        }
    }

    pub(crate) fn started(&self) -> Instant {
        self.start
    }

    /// The endpoint, until the end.
    #[inline]
    pub(crate) fn endpoint(&self) -> Option<&EndpointMetrics> {
        self.counted.endpoint.as_ref()
    }

    /// Token times begin there.
    pub(super) fn tokens_since(&mut self, start: Start) {
        self.counted.start = start;
    }

    /// Where token times begin.
    pub(super) fn token_start(&self) -> Start {
        self.counted.start.clone()
    }

    /// What a producer says of its tokens, if there is one that asked for a meter.
    pub(super) fn made(&self) -> Option<&Made> {
        self.counted.made.as_deref()
    }

    /// What comes once in a stream came, this long after its start.
    pub(super) fn first(&self, first: First, time: Duration) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.streams().first(first, time, false);
        }
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }

    /// Tokens were made.
    pub(super) fn stamp(&self, stamp: Stamp) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.streams().stamp(stamp);
        }
    }

    pub(crate) fn beat(&self, beat: Beat) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.streams().beat(beat);
        }
    }

    pub(crate) fn output_tokens(&self, tokens: u64) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.streams().output_tokens(tokens);
        }
    }

    /// Somebody knows whether the call went well, if it comes to its end.
    pub(crate) fn judge(&mut self, ok: bool) {
        self.verdict = Some(ok);
    }

    /// The trace that the call belongs to.
    pub(crate) fn trace(&mut self, trace: Option<TraceContext>) {
        self.trace = trace.map(Box::new);
    }

    /// Whether somebody counts it, and an error would be one.
    pub(crate) fn may_fail(&self) -> bool {
        self.counted.endpoint.is_some() && self.verdict != Some(true)
    }

    /// Ends the call; the first end counts.
    #[inline]
    pub(crate) fn end(&mut self, end: End) {
        if self.counted.endpoint.is_some() {
            self.end_at(end, clock::now(), None, None);
        }
    }

    /// The same, as an error of this label.
    pub(crate) fn end_as(&mut self, end: End, error: &str) {
        if self.counted.endpoint.is_some() {
            self.end_at(end, clock::now(), Some(error), None);
        }
    }

    /// Ends the call at `now`, with what its answer came to, if that was read, and the label of its
    /// error, if that has one of its own.
    pub(super) fn end_at(
        &mut self,
        end: End,
        now: Instant,
        error: Option<&str>,
        account: Option<&Account<'_>>,
    ) {
        let Some(endpoint) = self.counted.endpoint.take() else { return };
        let _entered = self.trace.as_deref().copied().map(TraceContext::enter);
        if let Some(end) = self.judged(end) {
            endpoint.end(end, now.since(self.start), error, account.map(|account| (account, now)));
        }
        if self.terms.in_flight {
            endpoint.leave();
        }
        if self.open {
            endpoint.open().leave();
        }
    }

    /// The end as it is counted; `None` if it is not.
    fn judged(&self, end: End) -> Option<End> {
        let outcome = match (end.outcome, self.terms.cancelled, self.verdict) {
            (Outcome::Cancelled, Cancelled::Ignore, _) => return None,
            (Outcome::Cancelled, Cancelled::Error, _) | (Outcome::Success, _, Some(false)) => {
                Outcome::ServerError
            }
            // What the head of an answer says may be overruled, and what became of its body not.
            (
                Outcome::ClientError | Outcome::ServerError | Outcome::Timeout | Outcome::Rejected,
                _,
                Some(true),
            ) if !end.in_body => Outcome::Success,
            (outcome, ..) => outcome,
        };
        Some(End { outcome, ..end })
    }

    /// Runs a part of the call: polls what it is waiting for. A panic in there is this call's, even
    /// if somebody catches it.
    pub(crate) fn run<T>(&mut self, part: impl FnOnce() -> T) -> T {
        self.running = true;
        let done = part();
        self.running = false;
        done
    }

    /// The same for a layer: what runs on the current thread meanwhile is within this call.
    #[inline]
    pub(crate) fn serve<T>(&mut self, part: impl FnOnce() -> T) -> T {
        self.running = true;
        let done = served::serve(&mut self.counted, part);
        self.running = false;
        done
    }

    /// What a drop without an end is.
    pub(crate) fn outcome_of_drop(&self) -> Outcome {
        if self.running || std::thread::panicking() {
            Outcome::Panic
        } else {
            CancelReason::outcome()
        }
    }
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        // Mostly it has ended by now, and need not ask why it did not.
        if self.counted.endpoint.is_none() {
            return;
        }
        self.end(End { outcome: self.outcome_of_drop(), in_body: false, status: None });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn endpoint() -> EndpointMetrics {
        EndpointMetrics::register(&Registry::new().endpoint("e")).unwrap()
    }

    const SUCCESS: End = End { outcome: Outcome::Success, in_body: false, status: None };

    #[test]
    fn a_call_ends_once() {
        let endpoint = endpoint();
        let mut call = Call::start(endpoint.clone());
        assert_eq!(endpoint.in_flight(), 1);
        call.end(SUCCESS);
        call.end(End { outcome: Outcome::Panic, ..SUCCESS });
        drop(call);
        assert_eq!(endpoint.in_flight(), 0);
        assert_eq!(endpoint.ended(Outcome::Success), 1);
        assert_eq!(endpoint.ended(Outcome::Panic), 0);
    }

    #[test]
    fn a_call_that_is_dropped_was_cancelled_or_panicked() {
        let endpoint = endpoint();
        drop(Call::start(endpoint.clone()));
        let panicked = std::panic::catch_unwind(|| {
            let _call = Call::start(endpoint.clone());
            panic!("as it is meant to");
        });
        assert!(panicked.is_err());
        assert_eq!(endpoint.ended(Outcome::Cancelled), 1);
        assert_eq!(endpoint.ended(Outcome::Panic), 1);
        assert_eq!(endpoint.in_flight(), 0);
    }

    #[test]
    fn a_call_within_a_counted_one_is_not_counted_again() {
        let (outer, other) = (endpoint(), endpoint());
        let mut call = Call::start(outer.clone());
        call.serve(|| {
            drop(Call::start(outer.clone()));
            drop(Call::start(other.clone()));
        });
        assert_eq!(outer.ended(Outcome::Cancelled), 0);
        assert_eq!(other.ended(Outcome::Cancelled), 1);
        drop(Call::start(outer.clone()));
        assert_eq!(outer.ended(Outcome::Cancelled), 1);
    }
}
