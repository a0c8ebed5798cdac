//! Threads that ask drivers, and what becomes of them: each may hang for as long as its driver does,
//! and costs then what it alone shows.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::fault::{Fault, Reason};
use super::labels::{Identity, MOST};
use super::reading::{Depth, Facts, Reading};
use super::shown::{Sets, Shown};
use super::{Missing, Times};
use crate::clock::{self, Instant};
use crate::registry::{Scope, Trouble, panic_message};

/// Least time between two full looks.
const FULL: Duration = Duration::from_secs(1);

/// All threads of a collector, and what they have in common.
#[derive(Debug)]
pub(super) struct Pool {
    scope: Scope,
    sets: Sets,
    times: Times,
    missing: Missing,
    stopped: Mutex<bool>,
    stop: Condvar,
    workers: Mutex<Vec<Arc<Worker>>>,
    /// Every GPU of which something was shown.
    known: Mutex<Vec<Identity>>,
}

/// Whoever asks a driver, in a thread of its own.
#[derive(Debug)]
pub(super) struct Worker {
    pool: Arc<Pool>,
    source: &'static str,
    /// Which GPU it samples; none if it looks for GPUs.
    index: Option<u32>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when the driver is being asked, if it is.
    asked: Option<Instant>,
    /// The driver was too late, and that was counted.
    late: bool,
    /// The thread ended, or is to end.
    over: bool,
    shown: Option<Shown>,
    /// The last XID, if they are told.
    last_xid: Option<u64>,
}

/// What samples a GPU, until it is gone or nobody wants it any more.
pub(super) type Job = Box<dyn FnOnce(&Arc<Worker>) -> Result<(), Fault> + Send>;

/// A driver, as somebody who looks for its GPUs.
pub(super) trait Driver: Send + 'static {
    /// Its name: a label of what went wrong.
    const NAME: &'static str;

    /// The GPUs that there are, each with what samples it. `lost` says that one of them was lost
    /// since.
    ///
    /// # Errors
    /// Why there are none.
    fn look(&mut self, lost: bool) -> Result<Vec<(u32, Job)>, Fault>;
}

impl Pool {
    pub(super) fn new(scope: &Scope, sets: Sets, times: Times, missing: Missing) -> Arc<Self> {
        Arc::new(Self {
            scope: scope.clone(),
            sets,
            times,
            missing,
            stopped: Mutex::new(false),
            stop: Condvar::new(),
            workers: Mutex::default(),
            known: Mutex::default(),
        })
    }

    /// Looks for the GPUs of a driver, now and ever again, in a thread of its own.
    pub(super) fn find<D: Driver>(self: &Arc<Self>, driver: D) -> std::io::Result<()> {
        let job: Job = Box::new(|worker| {
            worker.look(driver);
            Ok(())
        });
        self.start(D::NAME, None, job)
    }

    /// Notes who does not answer, and takes its values away.
    pub(super) fn check(&self) {
        let now = clock::now();
        let workers = lock(&self.workers).clone();
        for worker in workers {
            worker.check(now);
        }
    }

    /// Ends all threads as soon as their drivers answer, and shows nothing from now on.
    pub(super) fn stop(&self) {
        *lock(&self.stopped) = true;
        self.stop.notify_all();
        let workers = std::mem::take(&mut *lock(&self.workers));
        for worker in workers {
            let mut state = worker.lock();
            state.over = true;
            if let Some(shown) = &mut state.shown {
                // Processes and parts go with it.
                self.sets.show_down(shown);
            }
        }
        for of in lock(&self.known).drain(..) {
            self.sets.forget(&of);
        }
    }

    fn start(
        self: &Arc<Self>,
        source: &'static str,
        index: Option<u32>,
        job: Job,
    ) -> std::io::Result<()> {
        let (pool, state) = (Arc::clone(self), Mutex::default());
        let worker = Arc::new(Worker { pool, source, index, state });
        {
            // Listed under the lock, so that who stops all of them meets this one, or it them.
            let stopped = lock(&self.stopped);
            if *stopped {
                return Ok(());
            }
            lock(&self.workers).push(Arc::clone(&worker));
        }
        let name = match index {
            Some(index) => format!("{source}-{index}"),
            None => source.to_owned(),
        };
        let run = Arc::clone(&worker);
        let started = thread::Builder::new().name(name).spawn(move || run.run(job));
        if started.is_err() {
            worker.lock().over = true;
        }
        started.map(drop)
    }

    /// Whether this GPU is sampled already, or about to be.
    fn has(&self, source: &str, index: u32) -> bool {
        let workers = lock(&self.workers);
        let is = |worker: &&Arc<Worker>| {
            (worker.source, worker.index) == (source, Some(index)) && !worker.is_over()
        };
        workers.iter().any(|worker| is(&worker))
    }

    /// Forgets threads of a driver that ended; whether there were some.
    fn sweep(&self, source: &str) -> bool {
        let mut workers = lock(&self.workers);
        let before = workers.len();
        workers.retain(|worker| worker.source != source || !worker.is_over());
        workers.len() < before
    }

    /// Waits for `time`; whether the threads are to go on.
    fn rest(&self, time: Duration) -> bool {
        let stopped = lock(&self.stopped);
        let waited = self.stop.wait_timeout_while(stopped, time, |stopped| !*stopped);
        let (stopped, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !*stopped
    }
}

impl Worker {
    fn run(self: Arc<Self>, job: Job) {
        let outcome = catch_unwind(AssertUnwindSafe(|| job(&self)));
        let outcome =
            outcome.unwrap_or_else(|panic| Err(Fault::new(Reason::Panic, panic_message(&*panic))));
        if let Err(fault) = outcome {
            self.count(fault);
            let mut state = self.lock();
            if !state.over
                && let Some(shown) = &mut state.shown
            {
                self.pool.sets.show_down(shown);
            }
        }
        self.lock().over = true;
    }

    /// Looks for GPUs, ever again.
    fn look<D: Driver>(&self, mut driver: D) {
        let (mut lost, mut told) = (false, false);
        loop {
            match self.ask(|| driver.look(lost)) {
                Ok(found) => self.start_all(found),
                Err(fault)
                    if fault.reason.is_absence() && self.pool.missing == Missing::Ignored =>
                {
                    if !told {
                        let Fault { reason, text } = fault;
                        let reason = reason.as_str();
                        tracing::debug!(source = self.source, reason, text, "no GPU is sampled");
                        told = true;
                    }
                }
                Err(fault) => self.count(fault),
            }
            if !self.pool.rest(self.pool.times.retry) {
                return;
            }
            lost = self.pool.sweep(self.source);
        }
    }

    fn start_all(&self, mut found: Vec<(u32, Job)>) {
        if found.len() > MOST {
            let text = format!("{} GPUs are there, and {MOST} are sampled", found.len());
            self.count(Fault::new(Reason::TooMany, text));
            found.truncate(MOST);
        }
        for (index, job) in found {
            if self.pool.has(self.source, index) {
                continue;
            }
            if let Err(error) = self.pool.start(self.source, Some(index), job) {
                self.count(Fault::new(Reason::NoThread, error.to_string()));
            }
        }
    }

    /// Samples the GPU that was taken by [`begin`](Self::begin), by `read`, until it is gone or nobody
    /// wants it any more.
    ///
    /// # Errors
    /// Why it is gone.
    pub(super) fn sample(
        &self,
        mut read: impl FnMut(Depth, &mut Reading) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let (mut reading, mut full) = (Reading::default(), None::<Instant>);
        loop {
            let start = clock::now();
            let is_full = full.is_none_or(|full| start.since(full) >= FULL);
            let depth = if is_full { Depth::Full } else { Depth::Quick };
            reading.answered = false;
            self.ask(|| read(depth, &mut reading))?;
            if is_full {
                full = Some(start);
            }
            for fault in reading.faults.drain(..) {
                self.count(fault);
            }
            self.show(&mut reading);
            let left = self.pool.times.interval.saturating_sub(start.elapsed());
            if !self.pool.rest(left) {
                return Ok(());
            }
        }
    }

    /// Takes a GPU, unless another one has it; whether it could.
    pub(super) fn begin(&self, facts: &Facts) -> bool {
        let shown = self.pool.sets.start(facts);
        let of = shown.of().clone();
        let workers = lock(&self.pool.workers);
        if is_taken(&workers, &of) {
            return false;
        }
        let mut state = self.lock();
        if state.over {
            return false;
        }
        state.shown = Some(shown);
        let mut known = lock(&self.pool.known);
        // One that comes back under another number is shown under that one alone.
        known.retain(|other| {
            let same = other.gpu.uuid.as_str() == of.gpu.uuid.as_str();
            if same && other.gpu.gpu.as_str() != of.gpu.gpu.as_str() {
                self.pool.sets.forget(other);
            }
            !same
        });
        known.push(of);
        true
    }

    fn show(&self, reading: &mut Reading) {
        let mut state = self.lock();
        if state.over {
            return;
        }
        reading.last_xid = state.last_xid;
        let Some(shown) = &mut state.shown else { return };
        if reading.answered {
            self.pool.sets.show(shown, reading);
        } else {
            self.pool.sets.show_down(shown);
        }
    }

    /// Asks the driver, and is looked after meanwhile.
    pub(super) fn ask<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.lock().asked = Some(clock::now());
        let answer = ask();
        let mut state = self.lock();
        state.asked = None;
        if std::mem::take(&mut state.late) {
            tracing::debug!(source = self.source, index = self.index, "a driver answers again");
        }
        answer
    }

    fn check(&self, now: Instant) {
        let patience = self.pool.times.patience;
        let mut state = self.lock();
        let is_late = state.asked.is_some_and(|asked| now.since(asked) >= patience);
        if !is_late || state.late || state.over {
            return;
        }
        state.late = true;
        if let Some(shown) = &mut state.shown {
            self.pool.sets.show_down(shown);
        }
        drop(state);
        let text = format!("the driver did not answer for {} s", patience.as_secs_f64());
        self.count(Fault::new(Reason::Timeout, text));
    }

    /// Whether all threads are to end.
    pub(super) fn is_stopped(&self) -> bool {
        *lock(&self.pool.stopped)
    }

    /// Whether the thread ended, or is to end.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Waits for `time`; whether the thread is to go on.
    pub(super) fn rest(&self, time: Duration) -> bool {
        self.pool.rest(time) && !self.is_over()
    }

    /// XIDs are told from now on.
    pub(super) fn hears_xids(&self) {
        self.lock().last_xid.get_or_insert(0);
    }

    /// Counts an XID. That of a GPU which fell off the bus may come when nobody samples it any more.
    pub(super) fn xid(&self, xid: u64) {
        // Held, so that who stops all of them forgets this one as well.
        let stopped = lock(&self.pool.stopped);
        if *stopped {
            return;
        }
        let workers = lock(&self.pool.workers);
        let mut state = self.lock();
        state.last_xid = Some(xid);
        let (over, of) = (state.over, state.shown.as_ref().map(|shown| shown.of().clone()));
        drop(state);
        let Some(of) = of else { return };
        // Who samples it now hears of it as well.
        if !over || !is_taken(&workers, &of) {
            self.pool.sets.count_xid(&of, xid);
        }
    }

    /// Counts what went wrong.
    pub(super) fn count(&self, fault: Fault) {
        let Fault { reason, text } = fault;
        let index = self.index.map(|index| ("gpu".to_owned(), index.to_string()));
        let labels: Vec<_> = index.into_iter().collect();
        let trouble = Trouble { reason: reason.as_str(), count: 1, text };
        self.pool.scope.count_collect_error(self.source, &labels, trouble);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Whether one of them samples this GPU.
fn is_taken(workers: &[Arc<Worker>], of: &Identity) -> bool {
    workers.iter().any(|worker| {
        let state = worker.lock();
        let same = |shown: &Shown| shown.of().gpu.uuid.as_str() == of.gpu.uuid.as_str();
        !state.over && state.shown.as_ref().is_some_and(same)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
