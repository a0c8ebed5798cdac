//! A soak: many series, all cores recording, and two scrapers that never stop for long.
//!
//! Slices with and without scraping take turns, so that both see the same machine. What is compared
//! is the processor time of the recording threads, of which a scrape takes nothing: what remains is
//! what a scrape does to those who record, by the caches and whatever else they share.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::metric::{Counter, Histogram, UpDownCounter};
use dynamo_metrics::registry::Registry;
use rustix::time::{ClockId, clock_gettime};

use crate::inputs::{BOUNDS, NAMES, Ring, SERIES, samples, strings, walk};
use crate::machine;
use crate::race::quantile;

/// Series of the registry: mostly counters, the rest histograms.
const COUNTERS: usize = 99_000;
const HISTOGRAMS: usize = 1_000;

/// How long there is scraping, and how long there is none.
const SLICE: Duration = Duration::from_secs(5);

/// Operations between two looks at whether the slice is over.
const BATCH: usize = 4_096;

/// Parts of the throughput that scraping may cost, and of the memory that may be added after the
/// first minute.
const SLOWER: f64 = 0.05;
const LARGER: f64 = 0.03;

/// What the report starts with; it is the last section of `RESULTS.md`.
pub(crate) const TITLE: &str = "## Soak";

/// What scrapers ask for, by name.
const FORMATS: [(&str, &str); 2] = [
    ("text", "text/plain;version=0.0.4"),
    (
        "protobuf",
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    ),
];

/// What threads record to.
struct Recorded {
    registry: Registry,
    counters: Vec<Counter>,
    histogram: Histogram,
    in_flight: UpDownCounter,
    walk: Ring<u8>,
    samples: Ring<f64>,
}

/// Operations, and the processor time that they took.
#[derive(Default, Clone, Copy)]
struct Work {
    operations: u64,
    seconds: f64,
}

/// What a scraper saw.
#[derive(Default, Clone)]
struct Scraped {
    scrapes: u64,
    bytes: u64,
    errors: u64,
    first_error: Option<String>,
}

/// What came of all.
#[derive(Default)]
struct Outcome {
    minutes: u64,
    every: Duration,
    /// Work without scraping and with it, slice by slice.
    slices: Vec<[Work; 2]>,
    scraped: [Scraped; 2],
    /// Bytes in memory at the start, after each minute, and at the end.
    resident: Vec<u64>,
    /// The part of the machine that others took.
    others: f64,
}

/// Records for so many minutes, in half of them under scrapes. The report, and whether all is well.
///
/// # Errors
/// What the exporter says if it cannot listen, what is not to be read of the machine, and that
/// something was lost.
pub(crate) fn soak(minutes: u64, every: Duration) -> anyhow::Result<(String, bool)> {
    let recorded = Recorded::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = runtime.block_on(Exporter::new(&recorded.registry).bind("127.0.0.1:0"))?;
    let address = server.local_addr()?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| runtime.block_on(server.serve(async { drop(stopped.await) })));
        // Slabs, sockets and buffers are made here and not in a figure.
        let before = recorded.slice(Duration::from_secs(1)).operations;
        let first = FORMATS.iter().try_for_each(|(_, accept)| scrape(address, accept).map(drop));
        let outcome = first.and_then(|()| run(&recorded, address, (minutes, every)));
        drop(stop);
        let outcome = outcome?;
        let [without, with] = outcome.totals();
        recorded.check(before + without.operations + with.operations)?;
        Ok((outcome.report(), outcome.verdicts().iter().all(|(_, is_met)| *is_met)))
    })
}

fn run(
    recorded: &Recorded,
    address: SocketAddr,
    (minutes, every): (u64, Duration),
) -> anyhow::Result<Outcome> {
    let (busy_before, own_before, start) = (busy()?, own(), Instant::now());
    let mut outcome = Outcome { minutes, every, resident: vec![resident()?], ..Outcome::default() };
    let minute = Duration::from_secs(60);
    let mut next = minute;
    while start.elapsed() < minute * u32::try_from(minutes)? {
        let without = recorded.slice(SLICE);
        let (with, scraped) = under_scrapes(address, every, || recorded.slice(SLICE));
        outcome.slices.push([without, with]);
        for (all, new) in outcome.scraped.iter_mut().zip(scraped) {
            all.add(new);
        }
        if start.elapsed() >= next {
            next += minute;
            outcome.resident.push(resident()?);
            let [without, with] = outcome.totals();
            println!(
                "    {:.1} and {:.1} ns, {} MiB",
                without.cost(),
                with.cost(),
                resident()? >> 20
            );
        }
    }
    outcome.resident.push(resident()?);
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let all = start.elapsed().as_secs_f64() * cores as f64;
    outcome.others = ((busy()? - busy_before) - (own() - own_before)).max(0.0) / all;
    Ok(outcome)
}

impl Recorded {
    fn new() -> anyhow::Result<Self> {
        let registry = Registry::builder().series_cap(u64::MAX).build();
        let family = registry.counter("soak_requests_total", "Requests.").dynamic_family(NAMES)?;
        let texts = |n: usize| strings(n);
        for n in 0..COUNTERS {
            family.with(texts(n).each_ref().map(String::as_str)).inc_by(n as u64);
        }
        let counters = (0..SERIES).map(|n| family.with(texts(n).each_ref().map(String::as_str)));
        let counters: Vec<_> = counters.collect();
        let waits = registry.histogram("soak_seconds", "Waits.").buckets(BOUNDS);
        let waits = waits.dynamic_family(NAMES)?;
        for n in 0..HISTOGRAMS {
            waits.with(texts(n).each_ref().map(String::as_str)).observe(0.2);
        }
        let histogram = waits.with(texts(0).each_ref().map(String::as_str));
        let in_flight = registry.up_down_counter("soak_in_flight", "In flight.").register()?;
        let (walk, samples) = (walk(), samples());
        Ok(Self { registry, counters, histogram, in_flight, walk, samples })
    }

    /// Records on all cores for so long.
    fn slice(&self, length: Duration) -> Work {
        let (is_over, threads) = (AtomicBool::new(false), thread::available_parallelism());
        let threads = threads.map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            let recording: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn({
                        let over = &is_over;
                        move || self.record(thread * 5_003, over)
                    })
                })
                .collect();
            thread::sleep(length);
            is_over.store(true, Ordering::Relaxed);
            let mut all = Work::default();
            recording
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .for_each(|it| all.add(it));
            all
        })
    }

    /// One operation is a request: in flight, counted, timed, and gone.
    fn record(&self, first: usize, is_over: &AtomicBool) -> Work {
        let (start, mut step) = (cpu(ClockId::ThreadCPUTime), first);
        while !is_over.load(Ordering::Relaxed) {
            for _ in 0..BATCH {
                self.in_flight.inc();
                self.counters[usize::from(*self.walk.at(step))].inc();
                self.histogram.observe(*self.samples.at(step));
                self.in_flight.dec();
                step += 1;
            }
        }
        let seconds = cpu(ClockId::ThreadCPUTime) - start;
        Work { operations: (step - first) as u64, seconds }
    }

    /// Fails unless each operation is there to be seen.
    fn check(&self, operations: u64) -> anyhow::Result<()> {
        let before = (0..SERIES as u64).sum::<u64>();
        let counted = self.counters.iter().map(Counter::get).sum::<u64>() - before;
        let observed = self.histogram.snapshot().count() - 1;
        ensure!(
            (counted, observed, self.in_flight.get()) == (operations, operations, 0),
            "of {operations} operations {counted} were counted and {observed} timed"
        );
        Ok(())
    }
}

impl Work {
    fn add(&mut self, other: Self) {
        self.operations += other.operations;
        self.seconds += other.seconds;
    }

    /// Nanoseconds of processor time of one operation.
    fn cost(&self) -> f64 {
        self.seconds * 1e9 / self.operations as f64
    }
}

impl Scraped {
    fn add(&mut self, other: Self) {
        self.scrapes += other.scrapes;
        self.bytes += other.bytes;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

impl Outcome {
    fn totals(&self) -> [Work; 2] {
        let mut totals = [Work::default(); 2];
        for slice in &self.slices {
            totals.iter_mut().zip(slice).for_each(|(total, work)| total.add(*work));
        }
        totals
    }

    /// The part of its throughput that recording keeps under scrapes: the median of the slices.
    fn kept(&self) -> f64 {
        let ratio = |[without, with]: &[Work; 2]| without.cost() / with.cost();
        quantile(&mut self.slices.iter().map(ratio).collect::<Vec<_>>(), 0.5)
    }

    /// How much larger the process was at its largest than after the first minute.
    fn grown(&self) -> f64 {
        let later = self.resident.get(1..).unwrap_or_default();
        let (Some(first), Some(most)) = (later.first(), later.iter().max()) else {
            return f64::NAN;
        };
        *most as f64 / *first as f64 - 1.0
    }

    fn verdicts(&self) -> [(String, bool); 3] {
        let errors: u64 = self.scraped.iter().map(|scraped| scraped.errors).sum();
        let percent = |part: f64| format!("{:.1} %", part * 100.0);
        [
            (format!("throughput kept | {}", percent(self.kept())), self.kept() >= 1.0 - SLOWER),
            (format!("memory added after the first minute | {}", percent(self.grown())), {
                self.grown() <= LARGER
            }),
            (format!("scrapes that failed | {errors}"), errors == 0),
        ]
    }

    fn report(&self) -> String {
        let mut text = format!(
            "{TITLE}\n\nWritten by `cargo xtask bench --soak {0} --every {4}`, on {1}.\n\n\
             - {COUNTERS} counters and {HISTOGRAMS} histograms are scraped over loopback by two clients, a page\n  \
             of each format every {4} s, while all cores record; {2} s with scraping follow {2} s without.\n\
             - An operation is four: a gauge up, a counter, a histogram, the gauge down. Its cost is processor\n  \
             time of the thread that records; what is kept is the median over the pairs of slices.\n\
             - All operations were on the page in the end. Others took {3:.0} % of the machine meanwhile.\n\n\
             | | | at least, at most | |\n|---|---|---|---|\n",
            self.minutes,
            machine::machine(),
            SLICE.as_secs(),
            self.others * 100.0,
            self.every.as_secs(),
        );
        let limits =
            [format!("{:.0} %", 100.0 * (1.0 - SLOWER)), format!("{:.0} %", 100.0 * LARGER)];
        let limits = limits.into_iter().chain(["0".to_owned()]);
        for ((verdict, is_met), limit) in self.verdicts().into_iter().zip(limits) {
            let word = if is_met { "met" } else { "**not met**" };
            let _ = writeln!(text, "| {verdict} | {limit} | {word} |");
        }
        let [without, with] = self.totals();
        let _ = writeln!(
            text,
            "\n| recording | operations | processor time, s | ns each |\n|---|---|---|---|"
        );
        for (name, work) in [("without scraping", without), ("with scraping", with)] {
            let (operations, seconds) = (work.operations, work.seconds);
            let _ = writeln!(text, "| {name} | {operations} | {seconds:.1} | {:.2} |", work.cost());
        }
        let _ = writeln!(text, "\n| scraper | scrapes | MiB | failed |\n|---|---|---|---|");
        for ((name, _), seen) in FORMATS.iter().zip(&self.scraped) {
            let failed =
                seen.first_error.as_ref().map_or(String::new(), |error| format!(": {error}"));
            let (scrapes, mib, errors) = (seen.scrapes, seen.bytes >> 20, seen.errors);
            let _ = writeln!(text, "| {name} | {scrapes} | {mib} | {errors}{failed} |");
        }
        let resident: Vec<_> = self.resident.iter().map(|it| (it >> 20).to_string()).collect();
        let _ = writeln!(
            text,
            "\nResident memory in MiB at the start, after each minute, and at the end: {}.",
            resident.join(", ")
        );
        text
    }
}

/// Does `work` while a page of each format is asked for again and again.
fn under_scrapes<T>(
    address: SocketAddr,
    every: Duration,
    work: impl FnOnce() -> T,
) -> (T, [Scraped; 2]) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let scraping = FORMATS.map(|(_, accept)| {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut seen = Scraped::default();
                while !is_over.load(Ordering::Relaxed) {
                    let start = Instant::now();
                    match scrape(address, accept) {
                        Ok(bytes) => seen.bytes += bytes,
                        Err(error) => {
                            seen.errors += 1;
                            seen.first_error.get_or_insert_with(|| format!("{error:#}"));
                        }
                    }
                    seen.scrapes += 1;
                    thread::park_timeout(every.saturating_sub(start.elapsed()));
                }
                seen
            })
        });
        let result = work();
        is_over.store(true, Ordering::Relaxed);
        let seen = scraping.map(|thread| {
            thread.thread().unpark();
            thread.join().unwrap_or_else(|_| Scraped { errors: 1, ..Scraped::default() })
        });
        (result, seen)
    })
}

/// One page, over a connection of its own; its bytes. The page is read and not kept.
fn scrape(address: SocketAddr, accept: &str) -> anyhow::Result<u64> {
    const END: &[u8] = b"\r\n0\r\n\r\n";
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: soak\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
    )?;
    let (mut bytes, mut piece, mut end) = (0, vec![0; 64 << 10], Vec::new());
    loop {
        let length = stream.read(&mut piece)?;
        if length == 0 {
            break;
        }
        ensure!(bytes > 0 || piece.starts_with(b"HTTP/1.1 200 "), "another status than 200");
        bytes += length as u64;
        end.extend_from_slice(&piece[length.saturating_sub(END.len())..length]);
        end.drain(..end.len().saturating_sub(END.len()));
    }
    ensure!(end == END, "a page without an end");
    Ok(bytes)
}

/// Processor time by a clock, in seconds.
fn cpu(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// Processor time of this process.
fn own() -> f64 {
    cpu(ClockId::ProcessCPUTime)
}

/// Processor time of the machine, of whoever it was, in seconds.
fn busy() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let fields: Vec<f64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // Not what it waits, nor what guests have, which is counted twice; a tick is 10 ms.
    Ok([0, 1, 2, 5, 6, 7].iter().filter_map(|&at| fields.get(at)).sum::<f64>() / 100.0)
}

/// Bytes of this process that are in memory.
fn resident() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    Ok(kib.context("no VmRSS in /proc/self/status")? * 1024)
}
