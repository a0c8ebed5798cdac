//! The one door to atomics, so that what is built of them can be put under a model checker
//! (`--cfg dynamo_metrics_loom`).

#[cfg(dynamo_metrics_loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(dynamo_metrics_loom)]
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering,
};
#[cfg(not(dynamo_metrics_loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(dynamo_metrics_loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering,
};

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

thread_local! {
    /// Whether the current thread surely has what concurrent maps know it by. It has no destructor,
    /// so it can be read to the very end of the thread.
    static HAS_MAPS: Cell<bool> = const { Cell::new(false) };
    static ALIVE: Alive = {
        // What maps have is made first, and so goes last.
        let _ = papaya::HashMap::<u8, u8>::new().pin().len();
        HAS_MAPS.set(true);
        Alive
    };
}

/// Goes before what maps have.
struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {
        HAS_MAPS.set(false);
    }
}

/// Whether the current thread can still look into concurrent maps: they know threads by thread-local
/// values, which go before other destructors of a thread have run.
#[inline]
pub(crate) fn has_maps() -> bool {
    HAS_MAPS.get() || still_has_maps()
}

#[cold]
fn still_has_maps() -> bool {
    ALIVE.try_with(|_| ()).is_ok()
}

/// Runs something that needs concurrent maps: here, or in another thread if this one has none any
/// more. `None` if there is no other thread to be had.
pub(crate) fn with_maps<R: Send>(run: impl FnOnce() -> R + Send) -> Option<R> {
    if has_maps() {
        return Some(run());
    }
    std::thread::scope(|scope| {
        let other = std::thread::Builder::new().spawn_scoped(scope, run).ok()?;
        other.join().ok()
    })
}

/// A place for something shared, which readers look at without waiting.
pub(crate) struct Slot<T> {
    #[cfg(not(dynamo_metrics_loom))]
    inner: arc_swap::ArcSwapOption<T>,
    #[cfg(dynamo_metrics_loom)]
    inner: Mutex<Option<Arc<T>>>,
}

#[cfg(not(dynamo_metrics_loom))]
impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self { inner: arc_swap::ArcSwapOption::empty() }
    }

    /// Calls `look` with what is there, if anything is.
    #[inline]
    pub(crate) fn with<R>(&self, look: impl FnOnce(&Arc<T>) -> R) -> Option<R> {
        self.inner.load().as_ref().map(look)
    }

    pub(crate) fn set(&self, value: Option<Arc<T>>) {
        self.inner.store(value);
    }
}

#[cfg(dynamo_metrics_loom)]
impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self { inner: Mutex::new(None) }
    }

    pub(crate) fn with<R>(&self, look: impl FnOnce(&Arc<T>) -> R) -> Option<R> {
        let there = self.inner.lock().ok()?.clone();
        there.as_ref().map(look)
    }

    pub(crate) fn set(&self, value: Option<Arc<T>>) {
        if let Ok(mut inner) = self.inner.lock() {
            *inner = value;
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
