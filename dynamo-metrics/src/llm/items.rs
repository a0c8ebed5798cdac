//! A stream of items that ends a call where it ends itself.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::call::Call;
use super::meter::Stamp;
use super::outcome::{End, Outcome};
use super::reading::{Account, Kind};
use super::stream::Seen;
use super::timing::{First, Start, Timing};
use super::tokens::Beat;
use super::users::UserFunction;
use crate::clock;

pin_project! {
    /// A stream whose items are tokens: the call that made it lasts until it ends or is dropped.
    ///
    /// The first token gives the time to the first token, those after it inter-token latencies. An
    /// item that is an error makes the call a failure.
    pub struct Metered<S, F> {
        // Before the stream, so that the call has its end when the stream's own drop runs.
        state: State,
        hear: F,
        #[pin]
        inner: S,
    }
}

/// What an item has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The call failed.
    Error,
    /// So many tokens.
    Tokens(u64),
}

#[derive(Debug)]
struct State {
    call: Call,
    seen: Seen,
    timing: Timing,
    failed: bool,
}

impl<S: Stream, F: FnMut(&S::Item) -> Heard> Metered<S, F> {
    pub(crate) fn new(call: Call, inner: S, hear: F) -> Self {
        let timing = Timing::new(Start::at(call.started()), clock::now());
        let seen = Seen { exact: call.terms().counted, ..Seen::default() };
        Self { state: State { call, seen, timing, failed: false }, hear, inner }
    }
}

impl<S: Stream, F: FnMut(&S::Item) -> Heard> Stream for Metered<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let state = this.state;
        state.timing.ask();
        let item = ready!(state.call.run(|| this.inner.poll_next(cx)));
        if let Some(item) = &item {
            state.timing.hand();
            match heard(this.hear, item) {
                Heard::Error => state.failed = true,
                Heard::Tokens(0) => {}
                Heard::Tokens(tokens) => state.tokens(tokens),
            }
        } else {
            state.end(Outcome::Success);
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl State {
    /// An item of so many tokens is handed on.
    fn tokens(&mut self, tokens: u64) {
        self.seen.events += 1;
        self.seen.tokens += tokens;
        let call = &self.call;
        if self.timing.is_new() {
            self.timing.firsts(&self.seen, 0, |first, time| {
                call.first(first, time);
                if first == First::Token && call.terms().pulled {
                    call.stamp(Stamp::First(time));
                }
            });
        }
        let beat = self.timing.pace.beat(tokens);
        call.beat(beat);
        if let (Beat::Next { wait, tokens, .. }, true) = (beat, call.terms().pulled) {
            call.stamp(Stamp::Next { gap: wait, tokens });
        }
        call.output_tokens(tokens);
    }

    fn end(&mut self, outcome: Outcome) {
        // Consumers mostly stop at the error, so the end is a drop as often as not.
        let outcome = match outcome {
            Outcome::Success | Outcome::Cancelled if self.failed => Outcome::ServerError,
            outcome => outcome,
        };
        let end = End { outcome, in_body: true, status: None };
        let now = clock::now();
        self.timing.pace.finish(now);
        let account = Account::new(&self.seen, &self.timing, Kind::Stream, 0);
        self.call.end_at(end, now, None, Some(&account));
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.end(self.call.outcome_of_drop());
    }
}

impl<S: fmt::Debug, F> fmt::Debug for Metered<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What an item says; users' code is asked, and one that panics hears nothing.
fn heard<T>(hear: &mut impl FnMut(&T) -> Heard, item: &T) -> Heard {
    UserFunction::Count.ask(|| Some(hear(item))).unwrap_or(Heard::Tokens(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{StreamExt, stream};

    use super::*;
    use crate::clock::Manual;
    use crate::encode;
    use crate::llm::EndpointMetrics;
    use crate::registry::Registry;

    fn endpoint() -> (Registry, EndpointMetrics) {
        let registry = Registry::new();
        let endpoint = EndpointMetrics::register(&registry.endpoint("e")).unwrap();
        (registry, endpoint)
    }

    #[test]
    fn a_stream_is_in_flight_until_its_end() {
        let (registry, endpoint) = endpoint();
        let time = Manual::new();
        time.run(|| {
            let items = stream::iter([1, 2, 3]);
            let mut stream =
                Box::pin(Metered::new(Call::start(endpoint.clone()), items, |_: &i32| {
                    Heard::Tokens(1)
                }));
            let mut next = || futures_util::FutureExt::now_or_never(stream.next()).unwrap();
            time.advance(Duration::from_millis(150));
            assert_eq!(next(), Some(1));
            for item in [2, 3] {
                time.advance(Duration::from_millis(15));
                assert_eq!(next(), Some(item));
            }
            assert_eq!(endpoint.in_flight(), 1);
            assert_eq!(next(), None);
        });
        assert_eq!((endpoint.in_flight(), endpoint.ended(Outcome::Success)), (0, 1));
        let text = encode::text(&registry);
        for line in [
            "time_to_first_token_seconds_sum{dynamo_endpoint=\"e\"} 0.15\n",
            "inter_token_latency_seconds_sum{dynamo_endpoint=\"e\"} 0.03\n",
            "inter_token_latency_seconds_count{dynamo_endpoint=\"e\"} 2\n",
            "request_duration_seconds_sum{dynamo_endpoint=\"e\"} 0.18\n",
            "output_tokens_total{dynamo_endpoint=\"e\"} 3\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn an_error_makes_it_a_failure_and_a_drop_a_cancellation() {
        let (_, endpoint) = endpoint();
        let run = |items: Vec<Result<u8, ()>>, take: usize| {
            let hear = |item: &Result<u8, ()>| item.map_or(Heard::Error, |_| Heard::Tokens(1));
            let metered = Metered::new(Call::start(endpoint.clone()), stream::iter(items), hear);
            let mut taken = Box::pin(metered.take(take));
            while let Some(Some(_)) = futures_util::FutureExt::now_or_never(taken.next()) {}
        };
        run(vec![Ok(1), Err(())], 9);
        run(vec![Ok(1), Err(()), Ok(2)], 2);
        run(vec![Ok(1), Ok(2)], 1);
        assert_eq!(endpoint.ended(Outcome::ServerError), 2);
        assert_eq!(endpoint.ended(Outcome::Cancelled), 1);
        assert_eq!(endpoint.in_flight(), 0);
    }
}
