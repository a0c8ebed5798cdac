//! The current thread's row: its own slab if it has one, else the one that is shared.

use std::cell::Cell;

use super::slab::{Pool, Slab};

thread_local! {
    /// The slab that this thread owns. It has no destructor, so it can be read to the very end.
    static OWN: Cell<Option<&'static Slab>> = const { Cell::new(None) };
    /// This thread has no slab and gets none any more: all were taken, or it has ended.
    static SHARES: Cell<bool> = const { Cell::new(false) };
    /// Gives the slab back when the thread ends.
    static OWNER: Owner = Owner(Pool::global().take());
}

struct Owner(Option<&'static Slab>);

/// Where the current thread writes.
#[derive(Clone, Copy)]
pub(super) enum Row {
    Own(&'static Slab),
    Shared(&'static Slab),
}

/// Calls `write` with the current thread's row.
#[inline]
pub(super) fn with(write: impl Fn(Row)) {
    match OWN.get() {
        Some(slab) => write(Row::Own(slab)),
        None => without_own(&write),
    }
}

/// The first record of a thread, and every one of a thread without a slab.
#[cold]
fn without_own(write: &dyn Fn(Row)) {
    if !SHARES.get() {
        // Fails once the thread's destructors have run, this one among them.
        if let Ok(Some(slab)) = OWNER.try_with(|owner| owner.0) {
            OWN.set(Some(slab));
            return write(Row::Own(slab));
        }
        SHARES.set(true);
    }
    write(Row::Shared(Pool::global().shared()));
}

impl Row {
    /// Adds to two whole numbers of a run, wrapping.
    #[inline]
    pub(super) fn add_two(self, run: u32, (first, n): (u32, u64), (second, m): (u32, u64)) {
        match self {
            Self::Own(slab) => slab.change_two(
                run,
                (first, |value: u64| value.wrapping_add(n)),
                (second, |value: u64| value.wrapping_add(m)),
            ),
            Self::Shared(_) => {
                self.add(run + first, n);
                self.add(run + second, m);
            }
        }
    }

    /// Adds to a whole number and to a floating-point number of a run.
    #[inline]
    pub(super) fn add_both(self, run: u32, (first, n): (u32, u64), (second, by): (u32, f64)) {
        match self {
            Self::Own(slab) => slab.change_two(
                run,
                (first, |value: u64| value.wrapping_add(n)),
                (second, |value: u64| (f64::from_bits(value) + by).to_bits()),
            ),
            Self::Shared(_) => {
                self.add(run + first, n);
                self.add_float(run + second, by);
            }
        }
    }

    /// Adds to a whole number, wrapping.
    #[inline]
    pub(super) fn add(self, column: u32, n: u64) {
        match self {
            Self::Own(slab) => slab.change(column, |value| value.wrapping_add(n)),
            Self::Shared(slab) => slab.change_shared(column, |value| value.wrapping_add(n)),
        }
    }

    /// Adds to a floating-point number.
    #[inline]
    pub(super) fn add_float(self, column: u32, by: f64) {
        let add = |value| (f64::from_bits(value) + by).to_bits();
        match self {
            Self::Own(slab) => slab.change(column, add),
            Self::Shared(slab) => slab.change_shared(column, add),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Destructors that run after this one still record: to the shared slab.
        OWN.set(None);
        SHARES.set(true);
        if let Some(slab) = self.0 {
            Pool::global().give_back(slab);
        }
    }
}
