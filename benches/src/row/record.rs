//! Recording: through a handle, and by labels.

use std::hint::black_box;
use std::sync::Arc;

use anyhow::ensure;
use dynamo_metrics::metric::{Histogram, NativeBuckets};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit as BaseUnit;

use super::{Pace, Row, Table, Unit, bare};
use crate::inputs::{BOUNDS, SERIES, durations, samples, walk};
use crate::library::{Library, each_library, page};
use crate::race::{Contender, Field, Loop};

pub(crate) const COUNTER: &str = "counter inc on a handle, 1 thread";
pub(crate) const COUNTER_2: &str = "counter inc on a handle, 2 threads on one series";
pub(crate) const HISTOGRAM: &str = "histogram observe, 14 bounds, 1 thread";
pub(crate) const HISTOGRAM_2: &str = "histogram observe, 14 bounds, 2 threads";
pub(crate) const GAUGE: &str = "in-flight gauge up and down";
pub(crate) const TYPED: &str = "counter by typed labels (3), 1 thread";
pub(crate) const TYPED_2: &str = "counter by typed labels (3), 2 threads";
pub(crate) const STRINGS: &str = "counter by string labels (5), 1 thread";
pub(crate) const STRINGS_2: &str = "counter by string labels (5), 2 threads";

pub(super) fn rows() -> Vec<Row> {
    let row = |name, field| Row {
        name,
        table: Table::Record,
        unit: Unit::Nanoseconds,
        pace: Pace::Quick,
        field,
    };
    vec![
        row(COUNTER, || counters(1)),
        row(COUNTER_2, || counters(2)),
        row(HISTOGRAM, || histograms(1)),
        row(HISTOGRAM_2, || histograms(2)),
        row(GAUGE, gauges),
        row(TYPED, || by_type(1)),
        row(TYPED_2, || by_type(2)),
        row(STRINGS, || by_strings(1)),
        row(STRINGS_2, || by_strings(2)),
    ]
}

fn counters(threads: usize) -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field, threads: usize) -> anyhow::Result<()> {
        let mut library = L::new()?;
        let record = library.counter()?;
        let run = Loop::new(threads, move |_| black_box(&record)());
        let check = move |done| page(&library)?.has_counts(1, done);
        field.push((L::NAME.to_owned(), Box::new(run.checked(check))));
        Ok(())
    }
    let mut field = vec![bare::cell(threads), bare::own(threads), bare::shared(threads)];
    each_library!(of(&mut field, threads));
    Ok(field)
}

fn histograms(threads: usize) -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field, threads: usize) -> anyhow::Result<()> {
        let (mut library, samples) = (L::new()?, samples());
        let record = library.histogram()?;
        let library = Arc::new(library);
        let shown = library.clone();
        let run = Loop::new(threads, move |step| black_box(&record)(*samples.at(step)))
            .before(move || library.settle())
            .checked(move |done| page(&*shown)?.has_samples(1, done));
        field.push((L::NAME.to_owned(), Box::new(run)));
        Ok(())
    }
    let mut field = vec![bare::float(threads), bare::own(threads), bare::shared(threads)];
    each_library!(of(&mut field, threads));
    field.push(variant(threads, "ours, native buckets too", native()?, {
        let samples = samples();
        move |histogram, step| histogram.observe(*samples.at(step))
    }));
    field.push(variant(threads, "ours, whole nanoseconds", seconds()?, {
        let samples = durations();
        move |histogram, step| histogram.observe_duration(*samples.at(step))
    }));
    Ok(field)
}

/// Another kind of our histogram, or another way to it.
fn variant(
    threads: usize,
    name: &str,
    histogram: Histogram,
    observe: impl Fn(&Histogram, usize) + Sync + 'static,
) -> (String, Box<dyn Contender>) {
    let shown = histogram.clone();
    let run = Loop::new(threads, move |step| observe(black_box(&histogram), step));
    let check = move |done| {
        let count = shown.snapshot().count();
        ensure!(count == done, "{count} samples of {done}");
        Ok(())
    };
    (name.to_owned(), Box::new(run.checked(check)))
}

fn native() -> anyhow::Result<Histogram> {
    let builder = Registry::new().histogram("x", "").buckets(BOUNDS);
    Ok(builder.native(NativeBuckets::default()).register()?)
}

fn seconds() -> anyhow::Result<Histogram> {
    let builder = Registry::new().histogram("x_seconds", "").unit(BaseUnit::Seconds);
    Ok(builder.buckets(BOUNDS).register()?)
}

fn gauges() -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field) -> anyhow::Result<()> {
        let mut library = L::new()?;
        let record = library.gauge()?;
        let run = Loop::new(1, move |_| black_box(&record)());
        let check = move |_| page(&library)?.has_counts(1, 0);
        field.push((L::NAME.to_owned(), Box::new(run.checked(check))));
        Ok(())
    }
    let mut field = vec![bare::cell(1), bare::own(1)];
    each_library!(of(&mut field));
    Ok(field)
}

fn by_type(threads: usize) -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field, threads: usize) -> anyhow::Result<()> {
        let (mut library, walk) = (L::new()?, walk());
        let record = library.counter_by_type()?;
        let labels: [L::Typed; SERIES] = std::array::from_fn(L::typed);
        labels.iter().for_each(&record);
        let run = Loop::new(threads, move |step| {
            let series = usize::from(*walk.at(step)) % SERIES;
            black_box(&record)(&labels[series]);
        });
        let check = move |done| page(&library)?.has_counts(SERIES, done + SERIES as u64);
        field.push((L::NAME.to_owned(), Box::new(run.checked(check))));
        Ok(())
    }
    let mut field = vec![bare::array(threads), bare::own(threads), bare::shared(threads)];
    each_library!(of(&mut field, threads));
    Ok(field)
}

fn by_strings(threads: usize) -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field, threads: usize) -> anyhow::Result<()> {
        let (mut library, walk, labels) = (L::new()?, walk(), bare::labels());
        let record = library.counter_by_strings()?;
        for labels in labels {
            record(labels, 1);
        }
        let run = Loop::new(threads, move |step| {
            let series = usize::from(*walk.at(step)) % SERIES;
            black_box(&record)(labels[series], 1);
        });
        let check = move |done| page(&library)?.has_counts(SERIES, done + SERIES as u64);
        field.push((L::NAME.to_owned(), Box::new(run.checked(check))));
        Ok(())
    }
    let mut field = vec![bare::hash(threads, 5)];
    each_library!(of(&mut field, threads));
    Ok(field)
}
