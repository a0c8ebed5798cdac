//! Slabs: rows of cells, each row written by one thread at a time.
//!
//! A value is a *column*: the same place in every slab. Whoever owns a slab adds to its cell with a
//! plain load and store, since nobody else writes there; whoever reads sums the column. A thread
//! that ends gives its slab back, values included, and the next thread that starts goes on with it,
//! so there are never more slabs than threads alive at once, and nothing is moved or lost.
//!
//! Owned slabs are capped, since memory is columns times slabs. Threads past the cap share one slab
//! more, and change it by compare-and-swap.
//!
//! Every load and store of a cell is `Relaxed`: a cell publishes no other memory. What must be
//! ordered is who writes a slab, and the pool's lock does that: the last store of the owner before
//! comes before the unlock in [`Pool::give_back`], and the first load of the next one after the
//! lock in [`Pool::take`].

use std::sync::{OnceLock, PoisonError};

use crate::sync::{AtomicU64, Mutex, Ordering};

/// Cells of a page. A page is made when a thread first touches one of its columns.
pub(super) const PAGE: usize = if cfg!(dynamo_metrics_loom) { 2 } else { 1024 };

/// Pages of a slab, and with them the most columns that there can be: four million.
const PAGES: usize = if cfg!(dynamo_metrics_loom) { 2 } else { 4096 };

/// Most columns that there can be.
#[expect(clippy::cast_possible_truncation, reason = "four million")]
pub(super) const COLUMNS: u32 = (PAGES * PAGE) as u32;

/// Owned slabs, if the machine has more cores than that.
const MOST_OWNED: usize = 64;

type Page = Box<[AtomicU64; PAGE]>;

/// One row of cells. It lives as long as the process: the number of slabs is capped, and cells must
/// outlive the threads that write them.
#[derive(Clone, Copy)]
pub(super) struct Slab(&'static [OnceLock<Page>; PAGES]);

/// A page that is made.
#[derive(Clone, Copy)]
pub(super) struct MadePage(&'static [AtomicU64; PAGE]);

/// All slabs: the shared one, and those that are owned or wait for an owner.
pub(super) struct Pool {
    shared: Slab,
    /// Filled from the front, as threads ask for slabs.
    owned: Box<[OnceLock<Slab>]>,
    free: Mutex<Free>,
}

struct Free {
    waiting: Vec<Slab>,
    made: usize,
}

impl Slab {
    fn new() -> Self {
        // Made on the heap: a thread's stack may be small.
        let pages: Vec<_> = (0..PAGES).map(|_| OnceLock::new()).collect();
        let pages: &'static [OnceLock<Page>] = pages.leak();
        let Ok(pages) = pages.try_into() else { unreachable!("{PAGES} pages were made") };
        Self(pages)
    }

    /// The page of `column`, if it is made.
    #[inline]
    pub(super) fn made(self, column: u32) -> Option<MadePage> {
        self.0[place(column).0].get().map(|page| MadePage(page))
    }

    /// The page of `column`, which is made if it is new.
    pub(super) fn page(self, column: u32) -> MadePage {
        let make = || Box::new(std::array::from_fn(|_| AtomicU64::new(0)));
        MadePage(self.0[place(column).0].get_or_init(make))
    }

    /// The value in `column`; zero if the page was never touched.
    #[inline]
    pub(super) fn read(self, column: u32) -> u64 {
        let (page, cell) = place(column);
        self.0[page].get().map_or(0, |page| page[cell].load(Ordering::Relaxed))
    }

    /// Adds neighbouring columns, which lie in one page, to `sums`.
    pub(super) fn add_run(self, first: u32, sums: &mut [u64]) {
        let (page, cell) = place(first);
        if let Some(page) = self.0[page].get() {
            for (sum, cell) in sums.iter_mut().zip(&page[cell..]) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
    }

    /// Changes a cell of the slab that threads share.
    pub(super) fn change_shared(self, column: u32, by: impl Fn(u64) -> u64) {
        let cell = self.page(column).cell(column);
        let mut seen = cell.load(Ordering::Relaxed);
        loop {
            let new = by(seen);
            match cell.compare_exchange_weak(seen, new, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Sets a cell to zero that nobody can write any more.
    pub(super) fn clear(self, column: u32) {
        let (page, cell) = place(column);
        if let Some(page) = self.0[page].get() {
            page[cell].store(0, Ordering::Relaxed);
        }
    }
}

impl MadePage {
    #[inline]
    fn cell(self, column: u32) -> &'static AtomicU64 {
        &self.0[place(column).1]
    }

    /// Changes the cell of a column of this page, in a slab that the calling thread owns.
    #[inline]
    pub(super) fn change(self, column: u32, by: impl FnOnce(u64) -> u64) {
        let cell = self.cell(column);
        cell.store(by(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(most_owned: usize) -> Self {
        let free = Mutex::new(Free { waiting: Vec::new(), made: 0 });
        let owned = (0..most_owned).map(|_| OnceLock::new()).collect();
        Self { shared: Slab::new(), owned, free }
    }

    /// The pool of the process: twice as many owned slabs as cores, within reason.
    pub(super) fn global() -> &'static Self {
        static GLOBAL: OnceLock<Pool> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            Self::new((2 * cores).min(MOST_OWNED))
        })
    }

    /// A slab for the calling thread alone; `None` if all are taken.
    pub(super) fn take(&self) -> Option<Slab> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slab) = free.waiting.pop() {
            return Some(slab);
        }
        let place = self.owned.get(free.made)?;
        free.made += 1;
        Some(*place.get_or_init(Slab::new))
    }

    /// The slab, with its values, is for the next thread.
    pub(super) fn give_back(&self, slab: Slab) {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).waiting.push(slab);
    }

    /// The slab for threads that have none of their own.
    pub(super) fn shared(&self) -> Slab {
        self.shared
    }

    /// Every slab.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slab> + '_ {
        let made = self.owned.iter().map_while(|place| place.get().copied());
        std::iter::once(self.shared).chain(made)
    }
}

/// Page and cell of a column. Both are within bounds anyway; the remainders say so.
#[inline]
fn place(column: u32) -> (usize, usize) {
    let column = column as usize;
    ((column / PAGE) % PAGES, column % PAGE)
}
