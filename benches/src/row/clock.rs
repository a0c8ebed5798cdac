//! Reading a clock.

use std::hint::black_box;
use std::time::Instant;

use dynamo_metrics::clock;

use super::{Pace, Row, Table, Unit};
use crate::library::OURS;
use crate::race::{Contender, Field, Loop};

pub(crate) const READ: &str = "clock read";
pub(crate) const QUANTA: &str = "quanta Instant::now";

pub(super) fn rows() -> Vec<Row> {
    let unit = Unit::Nanoseconds;
    vec![Row { name: READ, table: Table::Clock, unit, pace: Pace::Quick, field: || Ok(reads()) }]
}

fn reads() -> Field {
    let raw = quanta::Clock::new();
    vec![
        read("std Instant::now", Instant::now),
        read(QUANTA, quanta::Instant::now),
        read("quanta Clock::raw", move || raw.raw()),
        read(OURS, clock::now),
    ]
}

fn read<T>(name: &str, read: impl Fn() -> T + Sync + 'static) -> (String, Box<dyn Contender>) {
    let once = move |_| {
        black_box(read());
    };
    (name.to_owned(), Box::new(Loop::new(1, once)))
}
