//! Before anything is timed: does each library record what it is asked to?

use anyhow::Context as _;

use crate::inputs::{SERIES, samples, strings, walk};
use crate::library::{Library, each_library, page};

/// Steps of each proof.
const STEPS: usize = 1_000;

/// Fails unless every library shows, on its page, what each kind of recording recorded.
pub(crate) fn prove() -> anyhow::Result<()> {
    each_library!(of());
    Ok(())
}

fn of<L: Library>() -> anyhow::Result<()> {
    counters::<L>()
        .and_then(|()| histograms::<L>())
        .and_then(|()| families::<L>())
        .with_context(|| format!("{} does not show what it recorded", L::NAME))
}

fn counters<L: Library>() -> anyhow::Result<()> {
    let mut library = L::new()?;
    let record = library.counter()?;
    (0..STEPS).for_each(|_| record());
    page(&library)?.has_counts(1, STEPS as u64)?;

    let mut library = L::new()?;
    let record = library.gauge()?;
    (0..STEPS).for_each(|_| record());
    page(&library)?.has_counts(1, 0)
}

fn histograms<L: Library>() -> anyhow::Result<()> {
    let (mut library, samples) = (L::new()?, samples());
    let record = library.histogram()?;
    (0..STEPS).for_each(|step| record(*samples.at(step)));
    let page = page(&library)?;
    page.has_samples(1, STEPS as u64)?;
    page.has_within_a_second((0..STEPS).filter(|&step| *samples.at(step) <= 1.0).count())
}

fn families<L: Library>() -> anyhow::Result<()> {
    let walk = walk();
    let mut library = L::new()?;
    let record = library.counter_by_type()?;
    (0..STEPS).for_each(|step| record(&L::typed((*walk.at(step)).into())));
    page(&library)?.has_counts(SERIES, STEPS as u64)?;

    let mut library = L::new()?;
    let count = library.counter_by_strings()?;
    for step in 0..STEPS {
        count(strings((*walk.at(step)).into()).each_ref().map(String::as_str), 2);
    }
    page(&library)?.has_counts(SERIES, 2 * STEPS as u64)?;

    let mut library = L::new()?;
    let observe = library.histogram_by_strings()?;
    for step in 0..STEPS {
        observe(strings((*walk.at(step)).into()).each_ref().map(String::as_str), 0.5);
    }
    let page = page(&library)?;
    page.has_samples(SERIES, STEPS as u64)?;
    page.has_within_a_second(STEPS)
}
