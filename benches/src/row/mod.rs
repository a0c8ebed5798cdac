//! The operations, and who takes part in each.

pub(crate) mod attribute;
pub(crate) mod bare;
pub(crate) mod clock;
pub(crate) mod collect;
pub(crate) mod compile;
pub(crate) mod heap;
pub(crate) mod layer;
#[cfg(feature = "peers")]
mod layer_peers;
mod proof;
pub(crate) mod record;
pub(crate) mod scrape;
mod service;
pub(crate) mod tail;

use crate::race::Field;

pub(crate) use proof::prove;

/// One operation.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) table: Table,
    pub(crate) unit: Unit,
    pub(crate) pace: Pace,
    pub(crate) field: fn() -> anyhow::Result<Field>,
}

/// Where a row is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    Record,
    Tail,
    Scrape,
    Heap,
    Layer,
    Attribute,
    Clock,
}

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Bytes,
    Allocations,
}

/// How long one run of a contender takes, which says how many rounds there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Quick,
    Slow,
}

impl Table {
    pub(crate) const ALL: [Self; 7] = [
        Self::Record,
        Self::Tail,
        Self::Scrape,
        Self::Heap,
        Self::Layer,
        Self::Attribute,
        Self::Clock,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Record => "Recording",
            Self::Tail => "Tails, while another thread scrapes",
            Self::Scrape => "A page of text",
            Self::Heap => "Heap",
            Self::Layer => "Layers",
            Self::Attribute => "Attributes",
            Self::Clock => "Clocks",
        }
    }
}

impl Unit {
    pub(crate) const fn symbol(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Bytes => "B",
            Self::Allocations => "allocations",
        }
    }
}

/// All rows that are timed, in the order of the report.
pub(crate) fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(record::rows());
    rows.extend(tail::rows());
    rows.extend(scrape::rows());
    rows.extend(collect::rows());
    rows.extend(layer::rows());
    rows.extend(attribute::rows());
    rows.extend(compile::rows());
    rows.extend(clock::rows());
    rows
}
