//! The current thread's row: its own slab if it has one, else the one that is shared.

use std::cell::Cell;

use super::slab::{Pool, Slab};

thread_local! {
    /// The slab that this thread owns. It has no destructor, so it can be read to the very end.
    static OWN: Cell<Option<Slab>> = const { Cell::new(None) };
    /// This thread has no slab and gets none any more: all were taken, or it has ended.
    static SHARES: Cell<bool> = const { Cell::new(false) };
    /// Gives the slab back when the thread ends.
    static OWNER: Owner = Owner(Pool::global().take());
}

struct Owner(Option<Slab>);

/// Where the current thread writes.
#[derive(Clone, Copy)]
pub(super) enum Row {
    Own(Slab),
    Shared(Slab),
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
    /// Changes a cell.
    #[inline]
    pub(super) fn change(self, column: u32, by: impl Fn(u64) -> u64) {
        match self {
            Self::Own(slab) => slab.change(column, by),
            Self::Shared(slab) => slab.change_shared(column, by),
        }
    }

    /// Changes two cells of a run.
    #[inline]
    pub(super) fn change_two(
        self,
        run: u32,
        (first, by): (u32, impl Fn(u64) -> u64),
        (second, by_too): (u32, impl Fn(u64) -> u64),
    ) {
        match self {
            Self::Own(slab) => slab.change_two(run, (first, by), (second, by_too)),
            Self::Shared(slab) => {
                slab.change_shared(run + first, by);
                slab.change_shared(run + second, by_too);
            }
        }
    }
}

/// Adds to a whole number, wrapping.
#[inline]
pub(super) fn plus(n: u64) -> impl Fn(u64) -> u64 {
    move |value| value.wrapping_add(n)
}

/// Adds to a floating-point number.
#[inline]
pub(super) fn plus_float(by: f64) -> impl Fn(u64) -> u64 {
    move |value| (f64::from_bits(value) + by).to_bits()
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
