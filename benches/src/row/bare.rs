//! Bare operations: what the machine makes of the least that a recording can be.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::inputs::{SERIES, Typed, strings, walk};
use crate::race::{Contender, Loop};

/// Adds to a number of the thread's own, without atomics.
pub(crate) const CELL: &str = "(bare) thread's own cell";
/// The same for a floating-point number, whose addition takes its time.
pub(crate) const FLOAT: &str = "(bare) thread's own float";
/// Picks one of the thread's own cells by three enums.
pub(crate) const ARRAY: &str = "(bare) array by three enums";
/// An addition under a lock that no other thread wants.
pub(crate) const OWN: &str = "(bare) thread's own fetch_add";
/// An addition that collides with other threads'.
const SHARED: &str = "(bare) shared fetch_add";
/// The standard library's hash of the text of labels.
pub(crate) const HASH: &str = "(bare) SipHash of labels";

/// A number on a cache line, and a neighbouring one, of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Alone(pub(super) AtomicU64);

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(0) };
    static FLOATING: Cell<f64> = const { Cell::new(0.0) };
    static NUMBERS: [Cell<u64>; SERIES] = const { [const { Cell::new(0) }; SERIES] };
    static ATOMIC: AtomicU64 = const { AtomicU64::new(0) };
}

pub(super) fn cell(threads: usize) -> (String, Box<dyn Contender>) {
    named(CELL, threads, |_| {
        NUMBER.with(|cell| black_box(cell).set(cell.get() + 1));
    })
}

pub(super) fn float(threads: usize) -> (String, Box<dyn Contender>) {
    named(FLOAT, threads, |_| {
        FLOATING.with(|cell| black_box(cell).set(cell.get() + black_box(0.1)));
    })
}

pub(super) fn array(threads: usize) -> (String, Box<dyn Contender>) {
    let walk = walk();
    let labels: [Typed; SERIES] = std::array::from_fn(Typed::nth);
    named(ARRAY, threads, move |step| {
        let labels = &labels[usize::from(*walk.at(step)) % SERIES];
        NUMBERS.with(|cells| {
            let cell = &black_box(cells)[labels.index() % SERIES];
            cell.set(cell.get() + 1);
        });
    })
}

pub(super) fn own(threads: usize) -> (String, Box<dyn Contender>) {
    named(OWN, threads, |_| {
        ATOMIC.with(|own| black_box(own).fetch_add(1, Ordering::Relaxed));
    })
}

pub(super) fn shared(threads: usize) -> (String, Box<dyn Contender>) {
    let shared = Alone::default();
    named(SHARED, threads, move |_| {
        black_box(&shared).0.fetch_add(1, Ordering::Relaxed);
    })
}

/// Hashes the first so many of the five labels.
pub(super) fn hash(threads: usize, count: usize) -> (String, Box<dyn Contender>) {
    let (walk, labels) = (walk(), labels());
    named(HASH, threads, move |step| {
        let mut hasher = DefaultHasher::new();
        let labels = &labels[usize::from(*walk.at(step)) % SERIES];
        labels.iter().take(count).for_each(|label| label.hash(&mut hasher));
        black_box(hasher.finish());
    })
}

/// Labels that live for as long as the program, as a request's do for as long as the request.
pub(super) fn labels() -> [[&'static str; 5]; SERIES] {
    std::array::from_fn(|n| strings(n).map(|value| &*value.leak()))
}

fn named(
    name: &str,
    threads: usize,
    op: impl Fn(usize) + Sync + 'static,
) -> (String, Box<dyn Contender>) {
    (name.to_owned(), Box::new(Loop::new(threads, op)))
}
