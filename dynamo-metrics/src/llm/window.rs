//! Rates over the last so many requests.

use std::sync::Arc;

use crate::sync::{AtomicU64, AtomicUsize, Ordering};

/// Requests that a window goes back, unless it says otherwise.
const REQUESTS: usize = 1_000;

/// The share of look-ups that were hits, over the last so many requests.
///
/// A rate since the start would not move any more after a day, and one between two scrapes would
/// depend on who scrapes. Clones share their window.
///
/// # Unit
/// A share, from 0 to 1.
/// # Source
/// The calls of [`record`](Self::record).
/// # Cost
/// Two atomic exchanges and an addition; the window has 8 bytes a request.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::HitRate;
///
/// let rate = HitRate::over(2);
/// assert_eq!(rate.get(), None);
/// assert_eq!(rate.record(0, 8), Some(0.0));
/// assert_eq!(rate.record(8, 8), Some(0.5));
/// assert_eq!(rate.record(8, 8), Some(1.0), "the first one is out of the window");
/// ```
#[derive(Debug, Clone)]
pub struct HitRate(Arc<Window>);

#[derive(Debug)]
struct Window {
    /// What each request adds, hits above look-ups.
    requests: Box<[AtomicU64]>,
    next: AtomicUsize,
    /// The sum of them.
    sum: AtomicU64,
}

impl HitRate {
    /// Over the last 1 000 requests.
    #[must_use]
    pub fn new() -> Self {
        Self::over(REQUESTS)
    }

    /// Over the last `requests` requests, from 1 to 65 536.
    #[must_use]
    pub fn over(requests: usize) -> Self {
        let requests = (0..requests.clamp(1, 1 << 16)).map(|_| AtomicU64::new(0)).collect();
        let (next, sum) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(Window { requests, next, sum }))
    }

    /// A request looked up so many things, of which so many were there; the rate with it. One that
    /// looked up nothing says nothing.
    #[expect(clippy::must_use_candidate, reason = "recording is the point, the rate a bonus")]
    pub fn record(&self, hits: u64, lookups: u64) -> Option<f64> {
        let window = &*self.0;
        if lookups == 0 {
            return self.get();
        }
        // So that neither of the sums runs into the other one.
        let most = u64::from(u32::MAX) / window.requests.len() as u64;
        let hits = hits.min(lookups);
        // A request of more counts as one of that many, with the same share of hits.
        let (hits, lookups) = if lookups > most {
            let hits = u128::from(hits) * u128::from(most) / u128::from(lookups);
            (u64::try_from(hits).unwrap_or(most), most)
        } else {
            (hits, lookups)
        };
        let entry = hits << 32 | lookups;
        let at = window.next.fetch_add(1, Ordering::Relaxed) % window.requests.len();
        let before = window.requests.get(at)?.swap(entry, Ordering::Relaxed);
        let change = entry.wrapping_sub(before);
        rate(window.sum.fetch_add(change, Ordering::Relaxed).wrapping_add(change))
    }

    /// The rate; `None` before the first look-up.
    #[must_use]
    pub fn get(&self) -> Option<f64> {
        rate(self.0.sum.load(Ordering::Relaxed))
    }
}

impl Default for HitRate {
    fn default() -> Self {
        Self::new()
    }
}

fn rate(sum: u64) -> Option<f64> {
    let (hits, lookups) = (sum >> 32, sum & u64::from(u32::MAX));
    (lookups > 0).then(|| (hits as f64 / lookups as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_is_too_large_for_the_window_keeps_its_share() {
        let rate = HitRate::over(1 << 16);
        let half = rate.record(64 << 10, 128 << 10).unwrap();
        assert!((half - 0.5).abs() < 1e-4, "{half}");
        assert_eq!(HitRate::over(1).record(u64::MAX, u64::MAX), Some(1.0));
    }

    #[test]
    fn a_window_forgets_what_is_behind_it() {
        let window = HitRate::over(3);
        for (hits, lookups, rate) in
            [(1, 1, 1.0), (0, 1, 0.5), (0, 2, 0.25), (0, 1, 0.0), (0, 0, 0.0), (4, 4, 4.0 / 7.0)]
        {
            assert_eq!(window.record(hits, lookups), Some(rate));
        }
    }

    #[test]
    fn numbers_that_cannot_be_stay_within_a_rate() {
        let window = HitRate::over(1 << 16);
        for _ in 0..3 << 16 {
            assert_eq!(window.record(u64::MAX, u64::MAX), Some(1.0));
        }
        assert_eq!(HitRate::over(0).record(5, 3), Some(1.0));
    }

    #[test]
    fn threads_lose_nothing_of_a_window() {
        let window = HitRate::over(400);
        std::thread::scope(|scope| {
            for hits in [0, 1, 2, 3] {
                let window = &window;
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        window.record(hits, 4);
                    }
                });
            }
        });
        for _ in 0..400 {
            window.record(1, 4);
        }
        assert_eq!(window.get(), Some(0.25));
    }
}
