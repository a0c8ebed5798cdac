//! A stream of items that ends a call where it ends itself.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::call::Call;
use super::outcome::{End, Outcome};
use super::reading::First;
use super::tokens::Pace;
use crate::clock;

pin_project! {
    /// A stream whose items are tokens: the call that made it lasts until it ends or is dropped.
    ///
    /// The first item gives the time to the first token, each other one an inter-token latency. An
    /// item that is an error makes the call a failure.
    pub struct Metered<S, F> {
        // Before the stream, so that the call has its end when the stream's own drop runs.
        state: State,
        is_error: F,
        #[pin]
        inner: S,
    }
}

#[derive(Debug)]
struct State {
    call: Call,
    pace: Pace,
    began: bool,
    failed: bool,
}

impl<S: Stream, F: Fn(&S::Item) -> bool> Metered<S, F> {
    pub(crate) fn new(call: Call, inner: S, is_error: F) -> Self {
        let pace = Pace::new(clock::now());
        Self { state: State { call, pace, began: false, failed: false }, is_error, inner }
    }
}

impl<S: Stream, F: Fn(&S::Item) -> bool> Stream for Metered<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let state = this.state;
        if state.pace.is_stalled() {
            state.pace.ask(clock::now());
        }
        let item = ready!(state.call.run(|| this.inner.poll_next(cx)));
        match &item {
            None => state.end(Outcome::Success),
            Some(item) if (this.is_error)(item) => state.failed = true,
            Some(_) => {
                let now = clock::now();
                state.pace.hand(now);
                if !std::mem::replace(&mut state.began, true) {
                    state.call.first(First::Token, now.since(state.call.started()));
                }
                state.call.beat(state.pace.beat(1));
                state.call.output_tokens(1);
            }
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl State {
    fn end(&mut self, outcome: Outcome) {
        // Consumers mostly stop at the error, so the end is a drop as often as not.
        let outcome = match outcome {
            Outcome::Success | Outcome::Cancelled if self.failed => Outcome::ServerError,
            outcome => outcome,
        };
        self.call.end(End { outcome, in_body: true, status: None });
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
                Box::pin(Metered::new(Call::start(endpoint.clone()), items, |_| false));
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
            let metered =
                Metered::new(Call::start(endpoint.clone()), stream::iter(items), Result::is_err);
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
