//! Tails: single operations, timed one by one, while another thread scrapes in a loop.
//!
//! The clock is the processor's counter. Reading it twice is a part of what is timed, and so is a
//! fence, without which the counter is read before the operation is done.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use quanta::Clock;

use super::bare::Alone;
use super::scrape::with_counters;
use super::{Pace, Row, Table, Unit};
use crate::inputs::{BOUNDS, samples, strings};
use crate::library::{Library, OURS, Ours, Scratch, each_library, page};
use crate::race::{Contender, Field, function, pin, quantile};

pub(crate) const ADDED: &str = "a series added, p99";
pub(crate) const COUNTER: &str = "one counter inc, p99.9";
pub(crate) const HISTOGRAM: &str = "one histogram observe, p99.9";
pub(crate) const ADD: &str = "(bare) fetch_add";

/// Series added in one run, one every [`PAUSE`].
const ADDITIONS: usize = 400;
const PAUSE: Duration = Duration::from_micros(250);

/// Operations of one run.
const OPERATIONS: usize = 500_000;

pub(super) fn rows() -> Vec<Row> {
    let row = |name, unit, field| Row { name, table: Table::Tail, unit, pace: Pace::Slow, field };
    vec![
        row(ADDED, Unit::Microseconds, added),
        row(COUNTER, Unit::Nanoseconds, counters),
        row(HISTOGRAM, Unit::Nanoseconds, histograms),
    ]
}

fn added() -> anyhow::Result<Field> {
    #[expect(clippy::unnecessary_wraps, reason = "the macro asks for it")]
    fn of<L: Library>(field: &mut Field) -> anyhow::Result<()> {
        field.push((L::NAME.to_owned(), function(additions::<L>)));
        Ok(())
    }
    let mut field = Field::new();
    each_library!(of(&mut field));
    Ok(field)
}

/// Adds series to a family of 5 000 counters, beside 300 histograms.
fn additions<L: Library>() -> anyhow::Result<f64> {
    let mut library = L::new()?;
    let (count, observe) = (library.counter_by_strings()?, library.histogram_by_strings()?);
    for n in 0..5_000 {
        count(strings(n).each_ref().map(String::as_str), 1);
    }
    for n in 0..300 {
        observe(strings(n).each_ref().map(String::as_str), 0.1);
    }
    let new: Vec<_> = (5_000..5_000 + ADDITIONS).map(strings).collect();
    let clock = Clock::new();
    let mut took = while_scraped(&library, || {
        let mut took = Vec::with_capacity(ADDITIONS);
        for labels in &new {
            let due = Instant::now() + PAUSE;
            while Instant::now() < due {
                spin_loop();
            }
            let labels = labels.each_ref().map(String::as_str);
            let before = clock.raw();
            count(labels, 1);
            took.push(clock.delta_as_nanos(before, clock.raw()) as f64 / 1e3);
        }
        took
    })?;
    page(&library)?.has_counts(5_000 + ADDITIONS, 5_000 + ADDITIONS as u64)?;
    Ok(quantile(&mut took, 0.99))
}

fn counters() -> anyhow::Result<Field> {
    let library = with_counters::<Ours>(10_000)?;
    let name = "http_server_others_total";
    let counter = library.registry.counter(name, "Others.").register()?;
    let library = Arc::new(library);
    let add = Alone::default();
    Ok(vec![
        timed(ADD, &library, move |_| {
            add.0.fetch_add(1, Ordering::Relaxed);
        }),
        timed(OURS, &library, move |_| counter.inc()),
        timed("(bare) nothing", &library, |_| ()),
    ])
}

fn histograms() -> anyhow::Result<Field> {
    let library = with_counters::<Ours>(10_000)?;
    let builder = library.registry.histogram("http_server_others_seconds", "Others.");
    let (histogram, samples) = (builder.buckets(BOUNDS).register()?, samples());
    let library = Arc::new(library);
    let add = Alone::default();
    Ok(vec![
        timed(ADD, &library, move |_| {
            add.0.fetch_add(1, Ordering::Relaxed);
        }),
        timed(OURS, &library, move |step| histogram.observe(*samples.at(step))),
    ])
}

/// The p99.9 of `op`, with a page of 10 000 series being scraped meanwhile.
fn timed(
    name: &str,
    library: &Arc<Ours>,
    op: impl Fn(usize) + 'static,
) -> (String, Box<dyn Contender>) {
    let (library, clock) = (library.clone(), Clock::new());
    let run = function(move || {
        let mut took = Vec::with_capacity(OPERATIONS);
        while_scraped(&*library, || {
            for step in 0..OPERATIONS {
                let before = clock.raw();
                op(step);
                fence(Ordering::SeqCst);
                took.push(clock.delta_as_nanos(before, clock.raw()) as f64);
            }
        })?;
        Ok(quantile(&mut took, 0.999))
    });
    (name.to_owned(), run)
}

/// Runs `work` while another thread scrapes `library` in a loop.
fn while_scraped<L: Library, T>(library: &L, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let (scraping, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            pin(1);
            let mut scratch = Scratch::default();
            while !done.load(Ordering::Relaxed) {
                library.scrape(&mut scratch, &mut |_| ())?;
                scraping.store(true, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
        while !scraping.load(Ordering::Relaxed) && !scraper.is_finished() {
            spin_loop();
        }
        let result = work();
        done.store(true, Ordering::Relaxed);
        scraper.join().ok().context("the scraping thread panicked")??;
        Ok(result)
    })
}
