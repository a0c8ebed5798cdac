//! Token times: the first one, and the gaps between the others.

use std::time::Duration;

use crate::clock::Instant;
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

/// When tokens came: the start of the request, and the last of them.
#[derive(Debug)]
pub(super) struct TokenClock {
    start: Instant,
    last: Option<Instant>,
}

/// What one chunk of tokens has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beat {
    /// The first token, this long after the start. Others in its chunk say nothing.
    First(Duration),
    /// So many tokens, this long after the ones before.
    Next { gap: Duration, tokens: u64 },
}

impl TokenClock {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, last: None }
    }

    /// `tokens` tokens came at `now`.
    pub(super) fn beat(&mut self, now: Instant, tokens: u64) -> Beat {
        match self.last.replace(now) {
            None => Beat::First(now.since(self.start)),
            Some(last) => Beat::Next { gap: now.since(last), tokens },
        }
    }
}

impl Beat {
    /// Counts the beat: a gap is spread over its tokens, and observed once for each.
    pub(super) fn observe(self, first: &Histogram, next: &Histogram) {
        match self {
            Self::First(time) => first.observe_duration(time),
            Self::Next { gap, tokens } => {
                let tokens = tokens.max(1);
                next.observe_n(gap.as_secs_f64() / tokens as f64, tokens);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Manual, now};

    #[test]
    fn the_first_chunk_gives_the_first_token_and_no_gap() {
        let time = Manual::new();
        time.run(|| {
            let mut clock = TokenClock::new(now());
            time.advance(Duration::from_millis(200));
            assert_eq!(clock.beat(now(), 3), Beat::First(Duration::from_millis(200)));
            time.advance(Duration::from_millis(30));
            let next = Beat::Next { gap: Duration::from_millis(30), tokens: 3 };
            assert_eq!(clock.beat(now(), 3), next);
        });
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
