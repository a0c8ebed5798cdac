//! One run of an endpoint: counted at its start, in flight until its end, ended exactly once.

use std::cell::RefCell;
use std::marker::PhantomData;

use super::cancel::CancelReason;
use super::endpoint::EndpointMetrics;
use super::outcome::{End, Outcome};
use super::tokens::Beat;
use crate::clock::{self, Instant};
use crate::metric::TraceContext;

thread_local! {
    /// The endpoints whose requests a layer is polling on this thread, outermost first.
    static COUNTED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
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
}

/// One run of an endpoint. Dropped without an end, it counts as cancelled, or as a panic if the
/// thread is panicking.
#[derive(Debug)]
pub struct Call {
    start: Instant,
    /// `None` once it has ended, or if somebody around it counts it already.
    endpoint: Option<EndpointMetrics>,
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

/// While it lives, calls of an endpoint on this thread are parts of one that is counted already.
#[derive(Debug)]
#[must_use = "the mark is taken back when this is dropped"]
pub(crate) struct Serving {
    marked: bool,
    /// The mark belongs to the thread that it was made on.
    _not_send: PhantomData<*const ()>,
}

impl Terms {
    pub(crate) const fn new() -> Self {
        Self { cancelled: Cancelled::Separate, in_flight: true }
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
        // Past the end of the thread's life there is no layer around either.
        let counted = COUNTED.try_with(|counted| counted.borrow().contains(&id)).unwrap_or(false);
        let endpoint = (!counted).then_some(endpoint);
        if let Some(endpoint) = &endpoint {
            endpoint.start(terms);
        }
        Self::made(endpoint, terms)
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
        Self::made(None, Terms::new())
    }

    #[inline]
    fn made(endpoint: Option<EndpointMetrics>, terms: Terms) -> Self {
        Self {
            start: clock::now(),
            endpoint,
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

    /// Marks the current thread, until the guard is dropped, as being within this call.
    pub(crate) fn serving(&self) -> Serving {
        let marked = self.endpoint.as_ref().is_some_and(|endpoint| {
            COUNTED.try_with(|counted| counted.borrow_mut().push(endpoint.id())).is_ok()
        });
        Serving { marked, _not_send: PhantomData }
    }

    pub(crate) fn beat(&self, beat: Beat) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.beat(beat);
        }
    }

    pub(crate) fn output_tokens(&self, tokens: u64) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.output_tokens(tokens);
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
        self.end_with(end, None);
    }

    /// The same, as an error of this label.
    pub(crate) fn end_as(&mut self, end: End, error: &str) {
        self.end_with(end, Some(error));
    }

    #[inline]
    fn end_with(&mut self, end: End, error: Option<&str>) {
        let Some(endpoint) = self.endpoint.take() else { return };
        let _entered = self.trace.map(TraceContext::enter);
        if let Some(end) = self.judged(end) {
            endpoint.end(end, self.start.elapsed(), error);
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
        if self.endpoint.is_none() {
            return;
        }
        self.end(End { outcome: self.outcome_of_drop(), in_body: false, status: None });
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if self.marked {
            let _ = COUNTED.try_with(|counted| counted.borrow_mut().pop());
        }
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
        let call = Call::start(outer.clone());
        {
            let _serving = call.serving();
            drop(Call::start(outer.clone()));
            drop(Call::start(other.clone()));
        }
        assert_eq!(outer.ended(Outcome::Cancelled), 0);
        assert_eq!(other.ended(Outcome::Cancelled), 1);
        drop(Call::start(outer.clone()));
        assert_eq!(outer.ended(Outcome::Cancelled), 1);
    }
}
