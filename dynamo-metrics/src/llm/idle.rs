//! Whether requests of an endpoint are open, for whoever waits until none is.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicU8, AtomicUsize, Ordering};

/// Nobody waits, so that the end of a request has nobody to wake.
const ALONE: u8 = 0;
const WATCHED: u8 = 1;

/// The open requests of an endpoint, counted exactly.
///
/// The in-flight gauge is a sum over threads, which has no one instant; this is one atomic. A
/// request goes and then looks whether somebody waits; who waits says so and then looks whether any
/// is left. Both are `SeqCst`, so that at least one of them sees the other.
#[derive(Debug)]
pub(super) struct Open {
    count: AtomicUsize,
    watched: AtomicU8,
    waiting: Mutex<Vec<Waker>>,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            watched: AtomicU8::new(ALONE),
            waiting: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn enter(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == 1
            && self.watched.load(Ordering::SeqCst) == WATCHED
        {
            self.wake();
        }
    }

    pub(super) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            self.watched.store(WATCHED, Ordering::SeqCst);
        }
        if self.count.load(Ordering::SeqCst) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    #[cold]
    fn wake(&self) {
        let waiting = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            // Whoever still waits says so again.
            self.watched.store(ALONE, Ordering::SeqCst);
            std::mem::take(&mut *waiting)
        };
        // Not under the lock: a waker may poll at once.
        waiting.into_iter().for_each(Waker::wake);
    }
}
