//! Many threads that come and go record to everything there is, while others scrape: nothing is
//! lost, and no page contradicts itself or the one before.
//!
//! `DYNAMO_METRICS_STRESS=small` makes it short enough for tools that slow everything down.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use dynamo_metrics::encode;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::metric::visit::{self, Number, Value, Visitor};
use dynamo_metrics::metric::{
    Counter, FloatCounter, Histogram, HistogramSnapshot, NativeBuckets, UpDownCounter,
};
use dynamo_metrics::registry::{DynamicFamily, Family, Registry};
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::page::Page;

const KEYS: [&str; 5] = ["a", "b", "c", "with \"quotes\"", ""];

/// Durations whose seconds have few binary digits, so that sums are the same in any order.
const TICK: Duration = Duration::from_nanos(1_953_125);

#[derive(Clone, Copy, LabelValue)]
enum Tier {
    Free,
    Paid,
}

#[derive(Clone, Copy, LabelSet)]
struct Plan {
    tier: Tier,
    cached: bool,
}

/// Threads in all, threads at once, and what each records.
struct Size {
    threads: usize,
    at_once: usize,
    records: usize,
    tasks: usize,
}

impl Size {
    fn of_the_run() -> Self {
        if std::env::var_os("DYNAMO_METRICS_STRESS").is_some_and(|size| size == "small") {
            Self { threads: 60, at_once: 6, records: 10, tasks: 12 }
        } else {
            Self { threads: 480, at_once: 16, records: 200, tasks: 160 }
        }
    }
}

#[derive(Clone)]
struct All {
    steps: Counter,
    work: FloatCounter,
    open: UpDownCounter,
    sizes: Histogram,
    native_sizes: Histogram,
    waits: Histogram,
    native_waits: Histogram,
    plans: Family<Plan, Counter>,
    keys: DynamicFamily<Counter, 1>,
    native_keys: DynamicFamily<Histogram, 1>,
    plan_waits: Family<Plan, Histogram>,
}

impl All {
    fn register(registry: &Registry) -> Self {
        let native = NativeBuckets::new(2, 0.004, 2.0).unwrap();
        let sizes = |name| registry.histogram(name, "Sizes.").buckets([0.0, 1.0, 3.0, 10.0]);
        let waits = |name| {
            let waits = registry.histogram(name, "Waits.").unit(Unit::Seconds);
            waits.buckets([0.002, 0.01, 0.02])
        };
        Self {
            steps: registry.counter("steps_total", "").alias("moves_total").register().unwrap(),
            work: registry.float_counter("work_total", "").register().unwrap(),
            open: registry.up_down_counter("open", "").register().unwrap(),
            sizes: sizes("sizes").register().unwrap(),
            native_sizes: sizes("native_sizes").native(native).register().unwrap(),
            waits: waits("waits_seconds").register().unwrap(),
            native_waits: waits("native_waits_seconds").native(native).register().unwrap(),
            plans: registry.counter("plans_total", "").family().unwrap(),
            keys: registry.counter("keys_total", "").dynamic_family(["key"]).unwrap(),
            native_keys: sizes("key_sizes").native(native).dynamic_family(["key"]).unwrap(),
            plan_waits: waits("plan_waits_seconds").family().unwrap(),
        }
    }

    /// Records the `n`-th time: one of each, of values that depend on `n` alone.
    fn record(&self, n: usize) {
        let size = (n % 16) as f64;
        let wait = TICK * u32::try_from(n % 16).unwrap();
        self.steps.inc();
        self.steps.inc_by(n as u64 % 4);
        self.work.inc_by(size / 4.0);
        self.sizes.observe(size);
        self.native_sizes.observe_n(size / 4.0, 3);
        self.waits.observe_duration(wait);
        self.waits.observe(0.25);
        self.native_waits.observe_duration(wait);
        self.native_waits.observe_n(0.5, 2);
        self.plans.with_ref(&plan(n), Counter::inc);
        self.plan_waits.with(&plan(n)).observe_duration(wait);
        self.keys.with_ref([KEYS[n % 5]], |key| key.inc_by(2));
        self.native_keys.with_ref([KEYS[n % 5]], |key| key.observe(size));
    }

    /// The same for `n` below `records`, with something open all the while.
    fn record_all(&self, records: usize) {
        let _open = self.open.enter();
        (0..records).for_each(|n| self.record(n));
    }

    async fn record_on_the_move(self, records: usize) {
        let _open = self.open.enter();
        for n in 0..records {
            self.record(n);
            tokio::task::yield_now().await;
        }
    }

    fn check(&self, registry: &Registry, rounds: usize, records: usize) {
        let runs = (rounds * records) as f64;
        let sum = |value: fn(usize) -> usize| {
            let sum: usize = (0..records).map(value).sum();
            (rounds * sum) as f64
        };
        let (sizes, tick) = (sum(|n| n % 16), TICK.as_secs_f64());
        let page = Page::read(&encode::text(registry));
        let is = |name, expected| assert_eq!(page.sum(name, &[]), Some(expected), "{name}");
        is("steps_total", runs + sum(|n| n % 4));
        is("moves_total", runs + sum(|n| n % 4));
        is("work_total", sizes / 4.0);
        is("open", 0.0);
        is("sizes_count", runs);
        is("sizes_sum", sizes);
        is("native_sizes_count", runs * 3.0);
        is("native_sizes_sum", sizes / 4.0 * 3.0);
        is("waits_seconds_count", runs * 2.0);
        is("waits_seconds_sum", sizes * tick + runs / 4.0);
        is("native_waits_seconds_count", runs * 3.0);
        is("native_waits_seconds_sum", sizes * tick + runs);
        is("plans_total", runs);
        is("plan_waits_seconds_count", runs);
        is("plan_waits_seconds_sum", sizes * tick);
        is("keys_total", runs * 2.0);
        is("key_sizes_count", runs);
        is("key_sizes_sum", sizes);
        for (k, key) in KEYS.into_iter().enumerate() {
            let turns = rounds * (0..records).filter(|n| n % 5 == k).count();
            assert_eq!(self.keys.with([key]).get(), 2 * turns as u64);
            assert_eq!(self.native_keys.with([key]).snapshot().count(), turns as u64);
        }
        for size in 0..16 {
            let turns = rounds * (0..records).filter(|n| n % 16 <= size).count();
            let cumulative: u64 = match size {
                0 => self.sizes.snapshot().counts()[..1].iter().sum(),
                1 => self.sizes.snapshot().counts()[..2].iter().sum(),
                3 => self.sizes.snapshot().counts()[..3].iter().sum(),
                10 => self.sizes.snapshot().counts()[..4].iter().sum(),
                _ => continue,
            };
            assert_eq!(cumulative, turns as u64, "samples up to {size}");
        }
    }
}

fn plan(n: usize) -> Plan {
    Plan {
        tier: if n.is_multiple_of(3) { Tier::Free } else { Tier::Paid },
        cached: n.is_multiple_of(2),
    }
}

/// Pages one after another, each against itself and the one before.
#[derive(Default)]
struct Pages {
    before: HashMap<String, f64>,
}

impl Pages {
    fn check(&mut self, text: &str) {
        let (mut families, mut lines) = (HashSet::new(), HashSet::new());
        let (mut family, mut kind) = ("", "");
        // The bucket before: its series, and its count.
        let mut bucket: Option<(String, f64)> = None;
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# TYPE ") {
                (family, kind) = head.split_once(' ').unwrap();
                assert!(families.insert(family), "twice on one page: {family}");
            }
            if line.starts_with('#') {
                continue;
            }
            let (id, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(lines.insert(id), "twice on one page: {id}");
            let (name, labels) = id.split_once('{').unwrap_or((id, ""));
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{id} in {family}"));
            assert!(["", "_total", "_bucket", "_sum", "_count"].contains(&suffix), "{id}");
            if kind != "gauge" {
                let before = self.before.insert(id.to_owned(), value).unwrap_or_default();
                assert!(before <= value, "{id} fell from {before} to {value}");
            }
            match suffix {
                "_bucket" => {
                    let (labels, le) = labels.split_once("le=").unwrap();
                    let series = labels.trim_end_matches(',').to_owned();
                    let (last, count) = bucket.take().unwrap_or((series.clone(), 0.0));
                    assert_eq!(last, series, "the series before ended without +Inf");
                    assert!(count <= value, "{id} is below the bucket before");
                    let end = le == "\"+Inf\"}";
                    bucket = Some((if end { format!("{series}+Inf") } else { series }, value));
                }
                "_count" => {
                    let labels = labels.trim_end_matches('}');
                    assert_eq!(bucket.take(), Some((format!("{labels}+Inf"), value)), "{id}");
                }
                _ => {}
            }
        }
    }
}

/// The same, for what only visitors see.
#[derive(Default)]
struct Visits {
    before: HashMap<String, (HistogramSnapshot, f64)>,
    families: HashSet<String>,
    family: String,
}

impl Visitor for Visits {
    fn family(&mut self, family: &visit::Family<'_>) {
        assert!(self.families.insert(family.name.to_owned()), "twice: {}", family.name);
        assert!(self.family.as_str() < family.name, "{} after {}", family.name, self.family);
        family.name.clone_into(&mut self.family);
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let id = format!("{} {:?}", self.family, series.labels);
        let mut none = (HistogramSnapshot::default(), 0.0);
        let before = self.before.get_mut(&id).unwrap_or(&mut none);
        let now = match series.value {
            Value::Counter(Number::Unsigned(total)) => total as f64,
            Value::Counter(Number::Float(total)) => total,
            Value::Histogram(now) => {
                let rise = |before: &[u64], now: &[u64]| {
                    let fell = before.iter().zip(now).find(|(before, now)| before > now);
                    assert_eq!(fell, None, "{id}");
                    now.iter().sum::<u64>()
                };
                assert_eq!(rise(before.0.counts(), now.counts()), now.count(), "{id}");
                if let Some(native) = now.native() {
                    let last = before.0.native();
                    let counts = last.map_or(&[][..], |last| last.counts());
                    let zero = last.map_or(0, |last| last.zero_count());
                    let sum = rise(counts, native.counts()) + rise(&[zero], &[native.zero_count()]);
                    assert_eq!(sum, now.count(), "{id}: native and classic buckets");
                }
                before.0.clone_from(now);
                now.sum()
            }
            _ => return,
        };
        assert!(before.1 <= now, "{id} fell from {} to {now}", before.1);
        let snapshot = std::mem::take(&mut before.0);
        self.before.insert(id, (snapshot, now));
    }
}

/// Ends the loops of other threads, however this one ends.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Scrapes by two threads while `record` runs, and checks all that they see.
fn scraped_while(registry: &Registry, record: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            let (mut text, mut openmetrics) = (Pages::default(), Pages::default());
            while !done.load(Ordering::Relaxed) {
                text.check(&encode::text(registry));
                openmetrics.check(&encode::openmetrics(registry));
            }
        });
        threads.spawn(|| {
            let mut visits = Visits::default();
            while !done.load(Ordering::Relaxed) {
                visits.families.clear();
                visits.family.clear();
                registry.gather(&mut visits);
            }
        });
        let _done = Done(&done);
        record();
    });
}

/// Starts all threads of the run, each when another one ended.
fn threads_that_come_and_go(all: &All, size: &Size) {
    thread::scope(|threads| {
        for turn in 0..size.at_once {
            let count = (turn..size.threads).step_by(size.at_once).count();
            threads.spawn(move || {
                for _ in 0..count {
                    let all = all.clone();
                    let records = size.records;
                    thread::spawn(move || all.record_all(records)).join().unwrap();
                }
            });
        }
    });
}

#[test]
fn threads_that_come_and_go_lose_nothing_and_pages_hold() {
    let (registry, size) = (Registry::new(), Size::of_the_run());
    let all = All::register(&registry);
    scraped_while(&registry, || threads_that_come_and_go(&all, &size));
    all.check(&registry, size.threads, size.records);
}

#[test]
fn tasks_that_move_between_threads_lose_nothing_and_pages_hold() {
    let (registry, size) = (Registry::new(), Size::of_the_run());
    let all = All::register(&registry);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(6)
        .thread_keep_alive(Duration::ZERO)
        .build()
        .unwrap();
    scraped_while(&registry, || {
        runtime.block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..size.tasks {
                running.spawn(all.clone().record_on_the_move(size.records));
                let (all, records) = (all.clone(), size.records);
                running.spawn_blocking(move || all.record_all(records));
            }
            while let Some(ended) = running.join_next().await {
                ended.unwrap();
            }
        });
        drop(runtime);
    });
    all.check(&registry, 2 * size.tasks, size.records);
}
