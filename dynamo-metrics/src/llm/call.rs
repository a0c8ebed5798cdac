//! One run of an endpoint: counted at its start, in flight until its end, ended exactly once.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::cancel::CancelReason;
use super::endpoint::EndpointMetrics;
use super::meter::Made;
use super::meter::Stamp;
use super::outcome::{End, Outcome};
use super::reading::Account;
use super::timing::{First, Start};
use super::tokens::Beat;
use crate::clock::{self, Instant};
use crate::metric::TraceContext;

thread_local! {
    /// The calls that a layer is polling on this thread, outermost first.
    static SERVED: RefCell<Vec<Served>> = const { RefCell::new(Vec::new()) };
}

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
    /// `None` once it has ended, if somebody around it counts it already, and while it is served.
    endpoint: Option<EndpointMetrics>,
    /// Where token times begin, if not at the start.
    token_start: Option<Start>,
    /// What a producer says of its tokens, if one asked for a meter.
    made: Option<Arc<Made>>,
    /// What it runs is being polled; a drop that finds this was left by a panic, caught or not.
    running: bool,
    /// Whoever waits for the endpoint's last open request waits for this one.
    open: bool,
    terms: Terms,
    /// Whether it went well, where somebody knows better than its value's type.
    verdict: Option<bool>,
    /// Where its exemplars lead.
    trace: Option<TraceContext>,
}

/// What a call gives away while it is served: calls of the endpoint on this thread are parts of one
/// that is counted already, and producers find it here.
#[derive(Debug)]
struct Served {
    endpoint: EndpointMetrics,
    start: Instant,
    token_start: Option<Start>,
    made: Option<Arc<Made>>,
}

/// Takes back what a call gave away, also while unwinding.
struct Back<'a>(&'a mut Call);

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
        let id = endpoint.id();
        let is_this = |served: &Served| served.endpoint.id() == id;
        // Past the end of the thread's life there is no layer around either.
        let counted = SERVED.try_with(|served| served.borrow().iter().any(is_this));
        let endpoint = (!counted.unwrap_or(false)).then_some(endpoint);
        if let Some(endpoint) = &endpoint {
            endpoint.start(terms);
        }
        Self::counting(endpoint, terms)
    }

    /// The call is open until its end, for whoever waits for the last one.
    pub(crate) fn opened(mut self) -> Self {
        if let Some(endpoint) = &self.endpoint {
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
        Self {
            start: clock::now(),
            endpoint,
            token_start: None,
            made: None,
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
    pub(crate) fn endpoint(&self) -> Option<&EndpointMetrics> {
        self.endpoint.as_ref()
    }

    /// Token times begin there.
    pub(super) fn tokens_since(&mut self, start: Start) {
        self.token_start = Some(start);
    }

    /// Where token times begin.
    pub(super) fn token_start(&self) -> Start {
        self.token_start.clone().unwrap_or(Start::At(self.start))
    }

    /// What a producer says of its tokens, if there is one that asked for a meter.
    pub(super) fn made(&self) -> Option<&Made> {
        self.made.as_deref()
    }

    /// What comes once in a stream came, this long after its start.
    pub(super) fn first(&self, first: First, time: Duration) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.streams().first(first, time, false);
        }
    }

    pub(super) fn terms(&self) -> Terms {
        self.terms
    }

    /// Tokens were made.
    pub(super) fn stamp(&self, stamp: Stamp) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.streams().stamp(stamp);
        }
    }

    pub(crate) fn beat(&self, beat: Beat) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.streams().beat(beat);
        }
    }

    pub(crate) fn output_tokens(&self, tokens: u64) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.streams().output_tokens(tokens);
        }
    }

    /// Somebody knows whether the call went well, if it comes to its end.
    pub(crate) fn judge(&mut self, ok: bool) {
        self.verdict = Some(ok);
    }

    /// The trace that the call belongs to.
    pub(crate) fn trace(&mut self, trace: Option<TraceContext>) {
        self.trace = trace;
    }

    /// Whether somebody counts it, and an error would be one.
    pub(crate) fn may_fail(&self) -> bool {
        self.endpoint.is_some() && self.verdict != Some(true)
    }

    /// Ends the call; the first end counts.
    #[inline]
    pub(crate) fn end(&mut self, end: End) {
        if self.endpoint.is_some() {
            self.end_at(end, clock::now(), None, None);
        }
    }

    /// The same, as an error of this label.
    pub(crate) fn end_as(&mut self, end: End, error: &str) {
        if self.endpoint.is_some() {
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
        let Some(endpoint) = self.endpoint.take() else { return };
        let _entered = self.trace.map(TraceContext::enter);
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
        let back = Back::after_giving(self);
        let done = part();
        drop(back);
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

impl<'a> Back<'a> {
    #[inline]
    fn after_giving(call: &'a mut Call) -> Option<Self> {
        let endpoint = call.endpoint.take()?;
        let (token_start, made) = (call.token_start.take(), call.made.take());
        let mut given = Some(Served { endpoint, start: call.start, token_start, made });
        let _ = SERVED.try_with(|served| served.borrow_mut().extend(given.take()));
        match given {
            None => Some(Self(call)),
            // The thread is at its end.
            Some(kept) => {
                call.endpoint = Some(kept.endpoint);
                call.token_start = kept.token_start;
                call.made = kept.made;
                None
            }
        }
    }
}

impl Drop for Back<'_> {
    #[inline]
    fn drop(&mut self) {
        let back = SERVED.try_with(|served| served.borrow_mut().pop()).ok().flatten();
        if let Some(Served { endpoint, token_start, made, .. }) = back {
            self.0.endpoint = Some(endpoint);
            self.0.token_start = token_start;
            self.0.made = made;
        }
    }
}

/// Shows `see` the innermost call that a layer is polling on this thread, where its token times begin,
/// and what is made for it. Those around it, which pass on the same answer, hear of that as well.
pub(super) fn current<T>(see: impl FnOnce(&EndpointMetrics, Start, &Arc<Made>) -> T) -> Option<T> {
    let current = SERVED.try_with(|served| {
        let mut served = served.borrow_mut();
        let (last, around) = served.split_last_mut()?;
        let made = last.made.get_or_insert_default();
        for outer in around {
            outer.made.get_or_insert_with(|| Arc::clone(made));
        }
        let start = last.token_start.clone().unwrap_or(Start::At(last.start));
        Some(see(&last.endpoint, start, made))
    });
    current.ok().flatten()
}

impl Drop for Call {
    #[inline]
    fn drop(&mut self) {
        // Mostly it has ended by now, and need not ask why it did not.
        if self.endpoint.is_none() {
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
