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

/// Changes a cell of the current thread's row.
#[inline]
pub(super) fn change(column: u32, by: impl Fn(u64) -> u64) {
    match OWN.get().and_then(|slab| slab.made(column)) {
        Some(page) => page.change(column, by),
        None => change_any(column, by),
    }
}

/// Changes two cells of a run, whose columns lie in one page.
#[inline]
pub(super) fn change_two(
    run: u32,
    (first, by): (u32, impl Fn(u64) -> u64),
    (second, by_too): (u32, impl Fn(u64) -> u64),
) {
    match OWN.get().and_then(|slab| slab.made(run)) {
        Some(page) => {
            page.change(run + first, by);
            page.change(run + second, by_too);
        }
        None => change_any_two(run, (first, by), (second, by_too)),
    }
}

/// The first record of a thread, its first in a page, and every one of a thread without a slab. One
/// call, and the last thing done, so that the others save no registers for it.
#[cold]
#[inline(never)]
fn change_any(column: u32, by: impl Fn(u64) -> u64) {
    match own() {
        Some(slab) => slab.page(column).change(column, by),
        None => Pool::global().shared().change_shared(column, by),
    }
}

#[cold]
#[inline(never)]
fn change_any_two(
    run: u32,
    (first, by): (u32, impl Fn(u64) -> u64),
    (second, by_too): (u32, impl Fn(u64) -> u64),
) {
    change_any(run + first, by);
    change_any(run + second, by_too);
}

/// The current thread's own slab, if it can have one.
fn own() -> Option<Slab> {
    if OWN.get().is_some() || SHARES.get() {
        return OWN.get();
    }
    // Fails once the thread's destructors have run, this one among them.
    let own = OWNER.try_with(|owner| owner.0).ok().flatten();
    OWN.set(own);
    SHARES.set(own.is_none());
    own
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
