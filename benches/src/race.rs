//! Rounds: in each, every contender of a row runs once, in random order.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// One run of a contender whose operation takes long lasts at least so long.
const LONG: Duration = Duration::from_millis(20);

/// One that takes part in a row.
pub(crate) trait Contender {
    /// Runs once, and tells what one operation cost.
    fn run(&mut self) -> anyhow::Result<f64>;

    /// Fails unless all that ran is there to be seen.
    fn check(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Who takes part in a row, by name.
pub(crate) type Field = Vec<(String, Box<dyn Contender>)>;

/// The figures of a row: a median for each contender.
#[derive(Debug)]
pub(crate) struct Figures(pub(crate) Vec<(String, f64)>);

/// An operation in a loop of its own, on one or more threads.
pub(crate) struct Loop<O> {
    op: O,
    threads: usize,
    /// Operations of each thread in one run; none before the first.
    batch: usize,
    done: u64,
    before: Box<dyn Fn()>,
    check: Box<dyn Fn(u64) -> anyhow::Result<()>>,
}

/// What an operation costs with something around it, less what it costs without.
pub(crate) struct Added<W, B> {
    with: W,
    bare: B,
    /// Parts of one operation that a figure is for.
    parts: f64,
    batch: u64,
    done: u64,
    before: Box<dyn Fn()>,
    check: Box<dyn Fn(u64) -> anyhow::Result<()>>,
}

/// A contender that is only a function.
struct Function<F>(F);

impl Figures {
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|(known, _)| known == name).map(|&(_, figure)| figure)
    }
}

impl<O: Fn(usize) + Sync> Loop<O> {
    /// `op` is told its step, for walks.
    pub(crate) fn new(threads: usize, op: O) -> Self {
        Self {
            op,
            threads,
            batch: 0,
            done: 0,
            before: Box::new(|| ()),
            check: Box::new(|_| Ok(())),
        }
    }

    /// Calls `before` ahead of each run, untimed.
    pub(crate) fn before(mut self, before: impl Fn() + 'static) -> Self {
        self.before = Box::new(before);
        self
    }

    /// Calls `check` in the end, with the number of operations.
    pub(crate) fn checked(mut self, check: impl Fn(u64) -> anyhow::Result<()> + 'static) -> Self {
        self.check = Box::new(check);
        self
    }

    /// Nanoseconds of one operation.
    fn once(&mut self) -> f64 {
        let (op, threads, batch) = (&self.op, self.threads, self.batch);
        let first = fastrand::usize(..1 << 14);
        if threads == 1 {
            self.done += batch as u64;
            return alone(op, first, batch).as_secs_f64() * 1e9 / batch as f64;
        }
        let warm_up = batch / 50 + 1;
        self.done += (threads * (batch + warm_up)) as u64;
        let waiting = AtomicUsize::new(threads);
        let waiting = &waiting;
        let total: Duration = thread::scope(|scope| {
            let spawned: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn(move || {
                        pin(thread);
                        alone(op, first + thread * 5_003, warm_up);
                        waiting.fetch_sub(1, Ordering::AcqRel);
                        while waiting.load(Ordering::Acquire) > 0 {
                            spin_loop();
                        }
                        alone(op, first + thread * 5_003, batch)
                    })
                })
                .collect();
            spawned.into_iter().filter_map(|thread| thread.join().ok()).sum()
        });
        total.as_secs_f64() * 1e9 / (threads * batch) as f64
    }
}

impl<O: Fn(usize) + Sync> Contender for Loop<O> {
    fn run(&mut self) -> anyhow::Result<f64> {
        (self.before)();
        if self.batch == 0 {
            // Long enough for the threads to overlap.
            let wanted = if self.threads == 1 { 2e6 } else { 5e6 };
            self.batch = 100;
            while self.once() * (self.batch as f64) < wanted / 4.0 {
                self.batch *= 2;
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "is small")]
            let batch = (wanted / self.once()) as usize;
            self.batch = batch.max(100);
        }
        Ok(self.once())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        (self.check)(self.done)
    }
}

impl<W: FnMut() -> bool, B: FnMut() -> bool> Added<W, B> {
    /// Both say whether they went well.
    pub(crate) fn new(parts: usize, with: W, bare: B) -> Self {
        Self {
            with,
            bare,
            parts: parts as f64,
            batch: 0,
            done: 0,
            before: Box::new(|| ()),
            check: Box::new(|_| Ok(())),
        }
    }

    /// Calls `before` ahead of each run, untimed.
    pub(crate) fn before(mut self, before: impl Fn() + 'static) -> Self {
        self.before = Box::new(before);
        self
    }

    /// Calls `check` in the end, with the number of operations.
    pub(crate) fn checked(mut self, check: impl Fn(u64) -> anyhow::Result<()> + 'static) -> Self {
        self.check = Box::new(check);
        self
    }
}

impl<W: FnMut() -> bool, B: FnMut() -> bool> Contender for Added<W, B> {
    fn run(&mut self) -> anyhow::Result<f64> {
        (self.before)();
        if self.batch == 0 {
            self.batch = 1;
            while repeat(self.batch, &mut self.with)? < Duration::from_millis(1) {
                self.batch *= 2;
            }
        }
        // Between two runs of the bare one, so that a change of pace touches both.
        let first = repeat(self.batch, &mut self.bare)?;
        let with = repeat(self.batch, &mut self.with)?;
        let second = repeat(self.batch, &mut self.bare)?;
        self.done += self.batch;
        let added = with.as_secs_f64() - f64::midpoint(first.as_secs_f64(), second.as_secs_f64());
        Ok(added * 1e9 / self.batch as f64 / self.parts)
    }

    fn check(&mut self) -> anyhow::Result<()> {
        (self.check)(self.done)
    }
}

impl<F: FnMut() -> anyhow::Result<f64>> Contender for Function<F> {
    fn run(&mut self) -> anyhow::Result<f64> {
        (self.0)()
    }
}

/// A contender that is only a function.
pub(crate) fn function(run: impl FnMut() -> anyhow::Result<f64> + 'static) -> Box<dyn Contender> {
    Box::new(Function(run))
}

/// A contender whose operation takes long: milliseconds of one that follows another.
pub(crate) fn long(mut once: impl FnMut() -> anyhow::Result<()> + 'static) -> Box<dyn Contender> {
    function(move || {
        once()?;
        let (start, mut times) = (Instant::now(), 0);
        while start.elapsed() < LONG {
            once()?;
            times += 1;
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / f64::from(times))
    })
}

/// Runs all of `field` once to warm up, then in `rounds` rounds, and has them checked.
pub(crate) fn race(mut field: Field, rounds: usize) -> anyhow::Result<Figures> {
    let mut order: Vec<usize> = (0..field.len()).collect();
    let mut samples = vec![Vec::with_capacity(rounds); field.len()];
    for round in 0..=rounds {
        fastrand::shuffle(&mut order);
        for &i in &order {
            let (name, contender) = &mut field[i];
            let sample = contender.run().with_context(|| name.clone())?;
            if round > 0 {
                samples[i].push(sample);
            }
        }
    }
    let mut figures = Vec::with_capacity(field.len());
    for ((name, mut contender), mut samples) in field.into_iter().zip(samples) {
        contender.check().with_context(|| format!("{name} lost something"))?;
        figures.push((name, quantile(&mut samples, 0.5)));
    }
    Ok(Figures(figures))
}

/// The sample below which a share `q` of them lies; NaN if there is none.
pub(crate) fn quantile(samples: &mut [f64], q: f64) -> f64 {
    samples.sort_unstable_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "q is a share")]
    let rank = (q * samples.len() as f64) as usize;
    let last = samples.len().saturating_sub(1);
    samples.get(rank.min(last)).copied().unwrap_or(f64::NAN)
}

/// Binds the calling thread to a core, where that can be done.
pub(crate) fn pin(thread: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    if let Some(&core) = cores.get(thread % cores.len().max(1)) {
        core_affinity::set_for_current(core);
    }
}

#[inline(never)]
fn repeat(times: u64, operation: &mut impl FnMut() -> bool) -> anyhow::Result<Duration> {
    let (start, mut well) = (Instant::now(), true);
    for _ in 0..times {
        well &= operation();
    }
    let took = start.elapsed();
    ensure!(well, "an operation went wrong");
    Ok(took)
}

#[inline(never)]
fn alone<O: Fn(usize)>(op: &O, first: usize, batch: usize) -> Duration {
    let start = Instant::now();
    for step in first..first + batch {
        op(step);
    }
    start.elapsed()
}
