//! A page of text: every series, from its cells to the wire.

use std::hint::black_box;

use super::{Pace, Row, Table, Unit};
use crate::inputs::strings;
use crate::library::{Library, Ours, Scratch, each_library, page};
use crate::race::{Contender, Field, long};

pub(crate) const COUNTERS: &str = "text scrape, 100 000 counters, 5 labels";
pub(crate) const HISTOGRAMS: &str = "text scrape, 10 000 histograms x 14 bounds";

pub(super) fn rows() -> Vec<Row> {
    let row = |name, field| Row {
        name,
        table: Table::Scrape,
        unit: Unit::Milliseconds,
        pace: Pace::Slow,
        field,
    };
    vec![row(COUNTERS, counters), row(HISTOGRAMS, histograms)]
}

fn counters() -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field) -> anyhow::Result<()> {
        let library = with_counters::<L>(100_000)?;
        field.push((L::NAME.to_owned(), scraped(library)));
        Ok(())
    }
    let mut field = copied(&with_counters::<Ours>(100_000)?)?;
    each_library!(of(&mut field));
    Ok(field)
}

fn histograms() -> anyhow::Result<Field> {
    fn of<L: Library>(field: &mut Field) -> anyhow::Result<()> {
        let library = with_histograms::<L>(10_000)?;
        field.push((L::NAME.to_owned(), scraped(library)));
        Ok(())
    }
    let mut field = copied(&with_histograms::<Ours>(10_000)?)?;
    each_library!(of(&mut field));
    Ok(field)
}

/// A library with so many counters, up to six digits each.
pub(super) fn with_counters<L: Library>(series: usize) -> anyhow::Result<L> {
    let mut library = L::new()?;
    let count = library.counter_by_strings()?;
    let (mut random, mut sum) = (fastrand::Rng::with_seed(31), 0);
    for n in 0..series {
        let by = random.u64(1..1_000_000);
        sum += by;
        count(strings(n).each_ref().map(String::as_str), by);
    }
    page(&library)?.has_counts(series, sum)?;
    Ok(library)
}

/// A library with so many histograms, of twenty samples each.
fn with_histograms<L: Library>(series: usize) -> anyhow::Result<L> {
    let mut library = L::new()?;
    let observe = library.histogram_by_strings()?;
    let mut random = fastrand::Rng::with_seed(37);
    for n in 0..series {
        let labels = strings(n);
        for _ in 0..20 {
            observe(labels.each_ref().map(String::as_str), 70.0 * random.f64().powi(4));
        }
    }
    page(&library)?.has_samples(series, 20 * series as u64)?;
    Ok(library)
}

/// Milliseconds of a scrape that follows another.
fn scraped<L: Library>(library: L) -> Box<dyn Contender> {
    let mut scratch = Scratch::default();
    long(move || {
        let mut bytes = 0;
        library.scrape(&mut scratch, &mut |piece| bytes += piece.len())?;
        black_box(bytes);
        Ok(())
    })
}

/// The least that a page can cost: it is there, and is copied.
fn copied<L: Library>(library: &L) -> anyhow::Result<Field> {
    let mut from = Vec::new();
    library.scrape(&mut Scratch::default(), &mut |piece| from.extend_from_slice(piece))?;
    let mut to = vec![0; from.len()];
    let copy = long(move || {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        Ok(())
    });
    Ok(vec![("(bare) memcpy of the page".to_owned(), copy)])
}
