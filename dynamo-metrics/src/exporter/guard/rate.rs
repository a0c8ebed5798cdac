//! How often somebody may come in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Instant};

/// One more request each `interval`, and `burst` of them at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) interval: Duration,
    pub(super) burst: u32,
}

/// A bucket of tokens, full at first.
#[derive(Debug)]
struct Bucket(Mutex<(f64, Instant)>);

/// What is left for now.
///
/// Those who have not shown who they are take from a bucket of their own, so that they cannot keep
/// out those who have.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) rate: Rate,
    admitted: Bucket,
    strangers: Bucket,
}

impl Limit {
    pub(super) fn new(rate: Rate) -> Self {
        let bucket = || Bucket(Mutex::new((f64::from(rate.burst), clock::now())));
        Self { rate, admitted: bucket(), strangers: bucket() }
    }

    pub(super) fn admit(&self) -> bool {
        self.admitted.take(self.rate)
    }

    pub(super) fn hear_stranger(&self) -> bool {
        self.strangers.take(self.rate)
    }
}

impl Bucket {
    fn take(&self, rate: Rate) -> bool {
        let now = clock::now();
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = &mut *guard;
        let grown = now.since(*at).as_secs_f64() / rate.interval.as_secs_f64();
        *tokens = (*tokens + grown).min(f64::from(rate.burst));
        *at = now;
        let enough = *tokens >= 1.0;
        if enough {
            *tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Manual;

    #[test]
    fn a_burst_is_followed_by_one_request_an_interval() {
        let time = Manual::new();
        time.run(|| {
            let limit = Limit::new(Rate { interval: Duration::from_millis(100), burst: 3 });
            let taken = || (0..10).filter(|_| limit.admit()).count();
            assert_eq!(taken(), 3);
            time.advance(Duration::from_millis(99));
            assert_eq!(taken(), 0);
            time.advance(Duration::from_millis(2));
            assert_eq!(taken(), 1);
            time.advance(Duration::from_secs(3600));
            assert_eq!(taken(), 3);
        });
    }

    #[test]
    fn strangers_leave_the_others_their_share() {
        let limit = Limit::new(Rate { interval: Duration::from_secs(3600), burst: 2 });
        while limit.hear_stranger() {}
        assert!(limit.admit());
    }
}
