//! Reading apart: in a thread of its own, which nobody waits for longer than a moment.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::CollectError;
use crate::clock::{self, Instant};

/// How long one who may block waits for a reader.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long a reader may take before another one takes over.
pub(super) const LATE: Duration = Duration::from_secs(5);

/// Most readers that hang at once; after that nobody reads until one of them comes back.
const MOST_READERS: usize = 8;

/// Something that is read, by one reader at a time.
pub(super) struct Aside(Arc<Shared>);

type Read = dyn Fn(&Turn) -> Result<(), CollectError> + Send + Sync;

struct Shared {
    read: Box<Read>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last reader that began.
    turn: u64,
    /// Since when it reads, if it does.
    since: Option<Instant>,
    /// Those that have not come back.
    readers: usize,
    fault: Option<CollectError>,
    /// When the last one began that came to its end.
    sampled: Option<Instant>,
}

/// Who was started, if somebody was.
#[derive(Debug)]
pub(super) struct Started(Option<u64>);

/// What one reader does.
pub(super) struct Turn {
    shared: Arc<Shared>,
    number: u64,
    began: Instant,
}

impl Aside {
    pub(super) fn new(
        read: impl Fn(&Turn) -> Result<(), CollectError> + Send + Sync + 'static,
    ) -> Self {
        let read = Box::new(read);
        Self(Arc::new(Shared { read, state: Mutex::default(), ended: Condvar::new() }))
    }

    /// Reads here, where that may block, or else apart; what the last reader found wrong.
    pub(super) fn refresh_here(&self) -> Result<(), CollectError> {
        if !may_block() {
            let started = self.start()?;
            return self.finish(&started);
        }
        self.read_now();
        self.0.lock().fault.take().map_or(Ok(()), Err)
    }

    /// Reads here, however long that takes.
    pub(super) fn read_now(&self) {
        if let Some(turn) = self.begin() {
            turn.run();
        }
    }

    /// Lets somebody read apart, unless somebody is at it already.
    pub(super) fn start(&self) -> Result<Started, CollectError> {
        let turn = self.begin();
        let number = turn.as_ref().map(|turn| turn.number);
        turn.map(start).transpose()?;
        Ok(Started(number))
    }

    /// Waits a moment for who was started, where that may be; what the last reader found wrong.
    pub(super) fn finish(&self, started: &Started) -> Result<(), CollectError> {
        let mut state = self.0.lock();
        // Whoever was at it already is not waited for.
        if let Some(number) = started.0.filter(|_| may_block()) {
            let is_at_it = |state: &mut State| state.turn == number && state.since.is_some();
            let waited = self.0.ended.wait_timeout_while(state, PATIENCE, is_at_it);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fault.take().map_or(Ok(()), Err)
    }

    /// How long ago the values were read.
    pub(super) fn age(&self) -> Option<Duration> {
        self.0.lock().sampled.map(Instant::elapsed)
    }

    /// The turn of one more reader, unless there is one that is not late.
    fn begin(&self) -> Option<Turn> {
        let mut state = self.0.lock();
        if let Some(since) = state.since {
            if since.elapsed() < LATE {
                return None;
            }
            state.fault = Some(CollectError::Late(since.elapsed()));
        }
        if state.readers >= MOST_READERS {
            return None;
        }
        state.turn += 1;
        state.readers += 1;
        let began = clock::now();
        state.since = Some(began);
        Some(Turn { shared: Arc::clone(&self.0), number: state.turn, began })
    }
}

impl Turn {
    /// Whether nobody took over meanwhile.
    pub(super) fn is_current(&self) -> bool {
        self.shared.lock().turn == self.number
    }

    fn run(self) {
        let result = (self.shared.read)(&self);
        let mut state = self.shared.lock();
        if state.turn == self.number {
            state.sampled = Some(self.began);
            if let Err(error) = result {
                state.fault = Some(error);
            }
        }
    }
}

impl Drop for Turn {
    /// It has come back, if only by a panic.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.readers -= 1;
        if state.turn == self.number {
            state.since = None;
        }
        if std::thread::panicking() {
            state.fault = Some(CollectError::Panic);
        }
        drop(state);
        self.shared.ended.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(turn: Turn) -> Result<(), CollectError> {
    let started =
        std::thread::Builder::new().name("dynamo-metrics".to_owned()).spawn(move || turn.run());
    started.map(drop).map_err(CollectError::Thread)
}

/// Whether this is no thread that runs futures: the exporter's own are none, but who gathers by hand
/// may be in one.
fn may_block() -> bool {
    #[cfg(any(feature = "health", feature = "tokio"))]
    {
        tokio::runtime::Handle::try_current().is_err()
    }
    #[cfg(not(any(feature = "health", feature = "tokio")))]
    {
        true
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside").field("state", &self.0.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::clock::Manual;

    #[test]
    fn who_may_block_reads_at_once_and_hears_what_is_wrong() {
        let aside =
            Aside::new(|_| Err(CollectError::Missing { path: "/proc/stat".into(), wanted: "cpu" }));
        assert_eq!(aside.age(), None);
        let error = aside.refresh_here().unwrap_err();
        assert_eq!(error.to_string(), "/proc/stat has no valid `cpu`");
        assert!(aside.age().is_some());
        let started = aside.start().unwrap();
        assert!(aside.finish(&started).is_err(), "each reader tells its own");
    }

    #[cfg(any(feature = "health", feature = "tokio"))]
    #[test]
    fn a_thread_that_runs_futures_never_reads() {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let aside = Aside::new(move |_| {
            let _ = tell.lock().unwrap().send(std::thread::current().id());
            Ok(())
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            aside.refresh_here().unwrap();
            assert_ne!(told.recv().unwrap(), std::thread::current().id());
        });
    }

    #[test]
    fn who_hangs_is_left_behind_and_its_place_is_taken_at_most_eight_times() {
        let clock = Manual::new();
        clock.run(|| {
            let (go, gate) = mpsc::channel::<()>();
            let gate = Arc::new(Mutex::new(gate));
            let (tell, told) = mpsc::channel();
            let tell = Mutex::new(tell);
            let aside = Aside::new(move |turn| {
                let gate = Arc::clone(&gate);
                let _ = tell.lock().unwrap().send(turn.number);
                let _ = gate.lock().unwrap().recv();
                let _ = tell.lock().unwrap().send(if turn.is_current() { 100 } else { 0 });
                Ok(())
            });
            for reader in 1..=MOST_READERS as u64 {
                aside.start().unwrap();
                assert_eq!(told.recv().unwrap(), reader);
                let before = aside.finish(&Started(None));
                assert_eq!(before.is_err(), reader > 1, "{reader}: {before:?}");
                // Somebody is at it, and not late yet.
                assert!(aside.start().unwrap().0.is_none());
                clock.advance(LATE);
            }
            let started = aside.start().unwrap();
            assert!(matches!(aside.finish(&started), Err(CollectError::Late(LATE))));
            assert!(told.try_recv().is_err(), "there are too many already");
            assert_eq!(aside.age(), None);
            for _ in 0..MOST_READERS {
                go.send(()).unwrap();
            }
            let ends: Vec<_> = (0..MOST_READERS).map(|_| told.recv().unwrap()).collect();
            assert_eq!(ends.iter().filter(|end| **end == 100).count(), 1, "{ends:?}");
        });
    }
}
