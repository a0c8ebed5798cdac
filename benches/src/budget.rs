//! What ours may cost.
//!
//! A time is read as a ratio: so much where a yardstick, measured in the same run, costs so much. A
//! yardstick is never something that threads contend for: that costs three times as much in one run
//! as in the next. Processors differ in what is quick (one adds with a lock in 7 cycles, the next in
//! 20), so a row may have more than one, and the most generous of them counts.

use crate::library::OURS;
use crate::race::Figures;
use crate::row::bare::{ARRAY, CELL, FLOAT, HASH, OWN};
use crate::row::{attribute, clock, collect, compile, heap, layer, record, scrape, tail};

/// Past a budget by no more than this is put down to the machine.
pub(crate) const TOLERANCE: f64 = 1.25;

const CLIENT: &str = "prometheus-client";

/// The most that ours may cost in one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) row: &'static str,
    pub(crate) limit: Limit,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// So much on any machine.
    Always(f64),
    /// So much where one of these costs what it says.
    Beside(f64, &'static [Yardstick]),
}

/// A contender of a row, and what it cost on the machine where the budgets were made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Yardstick {
    row: &'static str,
    pub(crate) name: &'static str,
    pub(crate) cost: f64,
}

/// How a row does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verdict {
    pub(crate) budget: Budget,
    pub(crate) ours: f64,
    /// What it may cost here; none without a yardstick.
    pub(crate) at_most: Option<f64>,
    /// Which yardstick says so.
    pub(crate) by: Option<Yardstick>,
    /// What it may cost here, with what is put down to the machine.
    pub(crate) tolerated: Option<f64>,
}

/// Every budget, in the order of the report.
pub(crate) const ALL: [Budget; 26] = [
    beside(record::COUNTER, 1.0, &[at(record::COUNTER, CELL, 0.25), at(record::COUNTER, OWN, 5.0)]),
    beside(
        record::COUNTER_2,
        1.0,
        &[at(record::COUNTER_2, CELL, 0.26), at(record::COUNTER_2, OWN, 5.0)],
    ),
    beside(
        record::HISTOGRAM,
        4.5,
        &[at(record::HISTOGRAM, CLIENT, 15.2), at(record::HISTOGRAM, FLOAT, 2.87)],
    ),
    beside(record::HISTOGRAM_2, 4.5, HISTOGRAM_2),
    // The yardsticks are one addition, and a gauge takes two.
    beside(record::GAUGE, 2.0, &[at(record::GAUGE, CELL, 0.25), at(record::GAUGE, OWN, 5.0)]),
    beside(record::TYPED, 2.5, &[at(record::TYPED, ARRAY, 1.3), at(record::TYPED, OWN, 5.0)]),
    beside(record::TYPED_2, 2.5, &[at(record::TYPED_2, ARRAY, 1.4), at(record::TYPED_2, OWN, 5.0)]),
    beside(
        record::STRINGS,
        28.0,
        &[at(record::STRINGS, CLIENT, 69.0), at(record::STRINGS, HASH, 23.7)],
    ),
    beside(record::STRINGS_2, 28.0, STRINGS_2),
    beside(tail::ADDED, 10.0, &[at(tail::ADDED, CLIENT, 900.0)]),
    // A virtual machine's counter goes in steps of 10 ns, of which the yardstick may be one.
    beside(tail::COUNTER, 2.0, &[at(tail::COUNTER, tail::ADD, 1.0)]),
    beside(tail::HISTOGRAM, 3.0, &[at(tail::HISTOGRAM, tail::ADD, 1.0)]),
    beside(scrape::COUNTERS, 4.5, &[at(scrape::COUNTERS, CLIENT, 31.9)]),
    beside(scrape::HISTOGRAMS, 3.0, &[at(scrape::HISTOGRAMS, CLIENT, 37.5)]),
    // Most of it is the kernel's, and grows with the machine.
    always(collect::IDLE, 2.0),
    always(collect::ASYNC, 1.0),
    always(heap::COUNTER, 150.0),
    always(heap::HISTOGRAM, 400.0),
    beside(layer::REQUEST, 150.0, &[at(layer::REQUEST, layer::TRACE, 181.0)]),
    beside(layer::FRAME, 25.0, &[at(layer::FRAME, layer::TRACE, 46.0)]),
    beside(layer::EVENT, 120.0, &[at(layer::EVENT, HASH, 23.7), at(layer::EVENT, OWN, 5.0)]),
    beside(attribute::ADDED, 60.0, &[at(attribute::ADDED, attribute::AUTOMETRICS, 210.0)]),
    beside(compile::COMPILE, 1.3, &[at(compile::COMPILE, compile::TRACING, 1.0)]),
    always(heap::REQUEST, 0.0),
    always(heap::FRAME, 0.0),
    beside(clock::READ, 1.0, &[at(clock::READ, clock::QUANTA, 1.0)]),
];

/// With two threads, a yardstick of one: with two it waits for its own lock.
const HISTOGRAM_2: &[Yardstick] =
    &[at(record::HISTOGRAM, CLIENT, 15.2), at(record::HISTOGRAM_2, FLOAT, 2.87)];

const STRINGS_2: &[Yardstick] =
    &[at(record::STRINGS, CLIENT, 69.0), at(record::STRINGS_2, HASH, 23.7)];

impl Budget {
    /// How the row does; none if it was not run.
    pub(crate) fn judge(self, figures: &[(&str, &Figures)]) -> Option<Verdict> {
        let find = |row, name| {
            let (_, figures) = figures.iter().find(|(known, _)| *known == row)?;
            figures.get(name)
        };
        let ours = find(self.row, OURS)?;
        let (at_most, by, tolerance) = match self.limit {
            Limit::Always(most) => (Some(most), None, 1.0),
            Limit::Beside(ours, yardsticks) => {
                let limits = yardsticks
                    .iter()
                    .filter_map(|by| Some((find(by.row, by.name)? * ours / by.cost, *by)));
                let (most, by) = limits.max_by(|a, b| a.0.total_cmp(&b.0)).unzip();
                (most, by, TOLERANCE)
            }
        };
        let tolerated = at_most.map(|most| most * tolerance);
        Some(Verdict { budget: self, ours, at_most, by, tolerated })
    }
}

impl Verdict {
    pub(crate) fn is_past(&self) -> bool {
        self.tolerated.is_some_and(|most| self.ours > most)
    }

    pub(crate) fn in_words(&self) -> &'static str {
        match (self.at_most, self.tolerated) {
            (Some(most), _) if self.ours <= most => "met",
            (_, Some(most)) if self.ours <= most => "met, within the tolerance",
            (Some(_), _) => "**not met**",
            (None, _) => "not compared",
        }
    }
}

const fn at(row: &'static str, name: &'static str, cost: f64) -> Yardstick {
    Yardstick { row, name, cost }
}

const fn beside(row: &'static str, ours: f64, yardsticks: &'static [Yardstick]) -> Budget {
    Budget { row, limit: Limit::Beside(ours, yardsticks) }
}

const fn always(row: &'static str, most: f64) -> Budget {
    Budget { row, limit: Limit::Always(most) }
}
