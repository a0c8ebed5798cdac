//! The one door to time: a monotonic clock that costs one counter read, and the time of day. Tests
//! can move both.
//!
//! [`now`] reads the processor's time stamp counter where it is invariant and the operating
//! system's monotonic clock elsewhere ([`quanta`] decides and calibrates).

use std::cell::{Cell, RefCell};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds of a second.
pub(crate) const NANOSECONDS: f64 = 1e9;

/// The bits of a [`Counter`]'s scale that are less than a tick.
const SCALE: u32 = 40;

/// Where a manual clock starts, in nanoseconds: away from zero, so that a test can ask for an instant
/// before the first one.
const MANUAL_START: u64 = 1_000_000_000_000_000;

/// A point in time, for measuring spans within one process.
///
/// It is a number of nanoseconds, so that telling two apart is a subtraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

/// A span of time as one number: what is added, compared and recorded for every frame, and need not
/// be taken apart into seconds and the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanoseconds(pub(crate) u64);

/// A clock that stands still until it is moved, for tests.
///
/// It replaces the clock of the current thread while [`Manual::run`] runs, so that tests run side
/// by side; a test of async code uses a current-thread runtime inside.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use dynamo_metrics::clock::{self, Manual};
///
/// let time = Manual::new();
/// let waited = time.run(|| {
///     let start = clock::now();
///     time.advance(Duration::from_millis(250));
///     start.elapsed()
/// });
/// assert_eq!(waited, Duration::from_millis(250));
/// ```
#[derive(Clone)]
pub struct Manual {
    nanoseconds: Arc<AtomicU64>,
    /// The time of day when it was made, in milliseconds since 1970.
    made: u64,
}

/// What [`quanta`] reads, and what it makes of that: it calibrates by a factor and a shift that may be
/// anything, and with a shift that is known this takes a third of the instructions.
struct Counter {
    clock: quanta::Clock,
    /// Nanoseconds of 2<sup>40</sup> ticks: as many digits as it was calibrated to, and more.
    scale: u64,
}

thread_local! {
    /// Whether the current thread has a clock of its own. It has no destructor, so it can be read to
    /// the very end of the thread.
    static IS_MANUAL: Cell<bool> = const { Cell::new(false) };
    static MANUAL: RefCell<Option<Manual>> = const { RefCell::new(None) };
}

/// Reads the clock.
///
/// # Cost
/// One counter read, about 9 ns on a virtual machine of 2026.
#[inline]
#[must_use]
pub fn now() -> Instant {
    static CLOCK: OnceLock<Counter> = OnceLock::new();
    if IS_MANUAL.get()
        && let Some(now) = manual(Manual::nanoseconds)
    {
        return Instant(now);
    }
    Instant(CLOCK.get_or_init(Counter::new).nanoseconds())
}

/// The time of day, in milliseconds since 1970.
pub(crate) fn unix_milliseconds() -> u64 {
    if IS_MANUAL.get()
        && let Some(now) =
            manual(|manual| manual.made + (manual.nanoseconds() - MANUAL_START) / 1_000_000)
    {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Asks the current thread's manual clock.
#[cold]
fn manual<T>(ask: impl FnOnce(&Manual) -> T) -> Option<T> {
    MANUAL.try_with(|manual| manual.borrow().as_ref().map(ask)).ok().flatten()
}

impl Instant {
    /// Before all others, where there has to be one.
    pub(crate) const ORIGIN: Self = Self(0);

    /// Time from `earlier` to `self`; zero if `earlier` is the later one.
    #[inline]
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.span_since(earlier).into()
    }

    /// The same as one number.
    #[inline]
    pub(crate) fn span_since(self, earlier: Self) -> Nanoseconds {
        Nanoseconds(self.0.saturating_sub(earlier.0))
    }

    /// Time from `self` to now.
    #[inline]
    #[must_use]
    pub fn elapsed(self) -> Duration {
        now().since(self)
    }
}

impl Counter {
    #[cold]
    fn new() -> Self {
        let clock = quanta::Clock::new();
        let scale = clock.delta_as_nanos(0, 1 << SCALE);
        Self { clock, scale }
    }

    #[inline]
    fn nanoseconds(&self) -> u64 {
        let scaled = (u128::from(self.clock.raw()) * u128::from(self.scale)) >> SCALE;
        // As many bits as the ticks have, more or less.
        #[expect(clippy::cast_possible_truncation, reason = "584 years")]
        let nanoseconds = scaled as u64;
        nanoseconds
    }
}

impl Nanoseconds {
    /// As seconds.
    #[inline]
    pub(crate) fn as_seconds(self) -> f64 {
        self.0 as f64 / NANOSECONDS
    }

    /// A share of it, as of one of so many tokens.
    #[inline]
    pub(crate) fn share(self, parts: u64) -> Self {
        if parts > 1 { Self(self.0 / parts) } else { self }
    }
}

impl AddAssign for Nanoseconds {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl From<Nanoseconds> for Duration {
    #[inline]
    fn from(Nanoseconds(nanoseconds): Nanoseconds) -> Self {
        Self::from_nanos(nanoseconds)
    }
}

impl From<Duration> for Nanoseconds {
    /// All that there is past 584 years.
    #[inline]
    fn from(time: Duration) -> Self {
        let whole = time.as_secs().saturating_mul(1_000_000_000);
        Self(whole.saturating_add(time.subsec_nanos().into()))
    }
}

impl Manual {
    /// Makes a clock that stands still.
    #[must_use]
    pub fn new() -> Self {
        Self { nanoseconds: Arc::new(AtomicU64::new(MANUAL_START)), made: unix_milliseconds() }
    }

    fn nanoseconds(&self) -> u64 {
        self.nanoseconds.load(Ordering::SeqCst)
    }

    /// Moves the clock forward by `step`.
    pub fn advance(&self, step: Duration) {
        let Nanoseconds(step) = step.into();
        let add = |now: u64| Some(now.saturating_add(step));
        let _ = self.nanoseconds.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
    }

    /// Runs `body` with this clock as the current thread's.
    pub fn run<T>(&self, body: impl FnOnce() -> T) -> T {
        /// Puts back what was before, whatever way the body ends.
        struct Before(Option<Manual>);

        impl Drop for Before {
            fn drop(&mut self) {
                IS_MANUAL.set(self.0.is_some());
                MANUAL.set(self.0.take());
            }
        }

        let _before = Before(MANUAL.replace(Some(self.clone())));
        IS_MANUAL.set(true);
        body()
    }
}

impl Default for Manual {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Manual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manual").field("nanoseconds", &self.nanoseconds()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_runs_backwards() {
        let first = now();
        let second = now();
        assert!(second >= first);
        assert_eq!(first.since(second), Duration::ZERO);
    }

    #[test]
    fn a_second_is_as_long_as_that_of_the_operating_system() {
        // Read before and after ours, so that it does not matter what else runs in between.
        let around = || {
            let before = std::time::Instant::now();
            (before, now(), std::time::Instant::now())
        };
        let (first, second) = (around(), {
            std::thread::sleep(Duration::from_millis(50));
            around()
        });
        let ours = second.1.since(first.1);
        assert!(ours.mul_f64(1.01) >= second.0 - first.2, "{ours:?}");
        assert!(ours.mul_f64(0.99) <= second.2 - first.0, "{ours:?}");
    }

    #[test]
    fn a_span_past_what_it_holds_is_all_that_there_is() {
        assert_eq!(Nanoseconds::from(Duration::MAX), Nanoseconds(u64::MAX));
        let (mut sum, one) = (Nanoseconds(u64::MAX - 1), Duration::from_nanos(1));
        sum += one.into();
        sum += one.into();
        assert_eq!(sum, Nanoseconds(u64::MAX));
        assert_eq!(Nanoseconds(10).share(4), Nanoseconds(2));
        assert_eq!(
            (Nanoseconds(10).share(1), Nanoseconds(10).share(0)),
            (Nanoseconds(10), Nanoseconds(10))
        );
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let time = Manual::new();
        time.run(|| {
            let start = now();
            assert_eq!(start.elapsed(), Duration::ZERO);
            time.advance(Duration::from_nanos(17));
            assert_eq!(start.elapsed(), Duration::from_nanos(17));
        });
    }
}
