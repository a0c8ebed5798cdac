//! Token times: the first one, the gaps between the others, and whose time the gaps were.

use crate::clock::{Instant, Nanoseconds};
use crate::metric::{Buckets, BucketsError, Histogram, NativeBuckets};

/// Dynamo's bounds for the time to the first token, in seconds.
pub(super) fn ttft_buckets() -> Result<Buckets, BucketsError> {
    Buckets::log(0.001, 480.0, 18)
}

/// Dynamo's bounds for the time between tokens, in seconds.
pub(super) fn itl_buckets() -> Result<Buckets, BucketsError> {
    Buckets::log(0.001, 80.0, 20)
}

/// Native buckets for the time between tokens: from 61 microseconds to half a minute.
pub(super) const ITL_NATIVE: NativeBuckets = NativeBuckets::of_powers(3, -14, 5);

/// When tokens came, and what their stream waited for in between.
///
/// Between two frames lies a *stall*, in which nobody asked for the next one (the client was slow),
/// and then a *wait*, in which somebody asked and it was not there (the producer was).
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// The last frame was handed on.
    handed: Instant,
    /// The next one was asked for.
    asked: Option<Instant>,
    /// All stalls since the head.
    stall: Nanoseconds,
    /// All waits since the last token.
    wait: Nanoseconds,
    /// The first token, and those that came in one chunk with it.
    first: Option<(Instant, u64)>,
    last: Option<Instant>,
    /// The longest gap between two chunks, and the longest time of one token.
    longest: Option<(Nanoseconds, Nanoseconds)>,
}

/// What one chunk of tokens has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The first one, and nothing of those in one chunk with it.
    First,
    /// So many tokens, this long after the ones before, of which this was waited for them.
    Next { gap: Nanoseconds, wait: Nanoseconds, tokens: u64 },
}

impl Pace {
    /// The head of the answer was handed on `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            handed: now,
            asked: None,
            stall: Nanoseconds::default(),
            wait: Nanoseconds::default(),
            first: None,
            last: None,
            longest: None,
        }
    }

    /// Whether nobody has asked for the next frame yet.
    #[inline]
    pub(super) fn is_stalled(&self) -> bool {
        self.asked.is_none()
    }

    /// The next frame is asked for, for the first time.
    #[inline]
    pub(super) fn ask(&mut self, now: Instant) {
        self.stall += now.span_since(self.handed);
        self.asked = Some(now);
    }

    /// A frame is handed on.
    #[inline]
    pub(super) fn hand(&mut self, now: Instant) {
        // Who does not say when it asked did nothing else in between.
        self.wait += now.span_since(self.asked.take().unwrap_or(self.handed));
        self.handed = now;
    }

    /// `tokens` tokens were in the frame that was handed on last.
    #[inline]
    pub(super) fn beat(&mut self, tokens: u64) -> Beat {
        let wait = std::mem::take(&mut self.wait);
        let Some(last) = self.last.replace(self.handed) else {
            self.first = Some((self.handed, tokens));
            return Beat::First;
        };
        let gap = self.handed.span_since(last);
        let each = gap.share(tokens);
        let (longest_gap, longest) = self.longest.unwrap_or_default();
        self.longest = Some((longest_gap.max(gap), longest.max(each)));
        Beat::Next { gap, wait, tokens }
    }

    /// When the last frame was handed on.
    pub(super) fn handed(&self) -> Instant {
        self.handed
    }

    /// All the time in which the next frame was not asked for.
    pub(super) fn stall(&self) -> Nanoseconds {
        self.stall
    }

    /// Nothing more is handed on: since the last frame nobody asked for another, or somebody did.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.asked.is_none() {
            self.ask(now);
        }
    }

    /// The longest time of a token, by its share of a gap, if there were two chunks of them.
    pub(super) fn longest(&self) -> Option<Nanoseconds> {
        self.longest.map(|(_, each)| each)
    }

    /// The longest gap between two chunks of tokens, if there were two.
    pub(super) fn longest_gap(&self) -> Option<Nanoseconds> {
        self.longest.map(|(gap, _)| gap)
    }

    /// The mean time of a token after the first chunk, up to `end` or else to the last one, in
    /// seconds; `None` if there were no two chunks of all `tokens`.
    pub(super) fn per_token(&self, tokens: u64, end: Option<Instant>) -> Option<f64> {
        let ((first, with_it), last) = self.first.zip(self.last)?;
        let rest = tokens.checked_sub(with_it).filter(|&rest| rest > 0)?;
        self.longest?;
        Some(end.unwrap_or(last).span_since(first).as_seconds() / rest as f64)
    }
}

/// Observes `time` as that of `tokens` tokens: spread over them, and once for each.
#[inline]
pub(super) fn observe_each(histogram: &Histogram, time: Nanoseconds, tokens: u64) {
    if tokens <= 1 {
        histogram.observe_span(time);
    } else {
        histogram.observe_n(time.as_seconds() / tokens as f64, tokens);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Manual, now};

    const fn ms(milliseconds: u64) -> Nanoseconds {
        Nanoseconds(milliseconds * 1_000_000)
    }

    fn advance(time: &Manual, step: Nanoseconds) {
        time.advance(Duration::from(step));
    }

    #[test]
    fn a_gap_is_a_stall_and_a_wait() {
        let time = Manual::new();
        time.run(|| {
            let mut pace = Pace::new(now());
            pace.ask(now());
            advance(&time, ms(200));
            pace.hand(now());
            assert_eq!(pace.beat(3), Beat::First);
            // The client does something else, then waits for a frame without and one with tokens.
            advance(&time, ms(40));
            pace.ask(now());
            advance(&time, ms(5));
            pace.hand(now());
            pace.ask(now());
            advance(&time, ms(5));
            pace.hand(now());
            assert_eq!(pace.beat(2), Beat::Next { gap: ms(50), wait: ms(10), tokens: 2 });
            assert_eq!((pace.stall(), pace.longest()), (ms(40), Some(ms(25))));
            assert_eq!(pace.longest_gap(), Some(ms(50)));
            assert_eq!(pace.per_token(5, None), Some(0.025));
            advance(&time, ms(50));
            assert_eq!(pace.per_token(5, Some(now())), Some(0.05));
            // A client that leaves without having asked for more has stalled to the end.
            pace.finish(now());
            assert_eq!(pace.stall(), ms(90));
        });
    }

    #[test]
    fn one_chunk_has_no_time_per_token() {
        let mut pace = Pace::new(now());
        assert_eq!(pace.per_token(9, None), None);
        pace.hand(now());
        pace.beat(1);
        assert_eq!(pace.per_token(9, None), None);
        assert_eq!(pace.longest(), None);
    }

    #[test]
    fn bounds_are_dynamos() {
        assert_eq!(
            ttft_buckets().unwrap().bounds(),
            [
                0.0, 0.0022, 0.0047, 0.01, 0.022, 0.047, 0.1, 0.22, 0.47, 1.0, 2.2, 4.7, 10.0,
                22.0, 48.0, 100.0, 220.0, 480.0
            ]
        );
        assert_eq!(
            itl_buckets().unwrap().bounds(),
            [
                0.0, 0.0018, 0.0033, 0.0059, 0.011, 0.02, 0.035, 0.064, 0.12, 0.21, 0.38, 0.69,
                1.2, 2.3, 4.1, 7.4, 13.0, 24.0, 44.0, 80.0
            ]
        );
    }
}
