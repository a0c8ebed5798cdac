//! Stories of cells: threads that come and go, more of them than slabs, and scrapes throughout.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::slab::Pool;
use super::{Count, FloatCount};

#[test]
fn more_threads_than_slabs_lose_nothing() {
    let (count, float) = (Count::new().unwrap(), FloatCount::new().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..150 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    count.add(3);
                    count.dec();
                    float.add(0.5);
                }
            });
        }
    });
    assert_eq!(count.get(), 300_000);
    assert!((float.get() - 75_000.0).abs() < 1e-9);
}

#[test]
fn threads_that_come_and_go_pass_their_slabs_on() {
    let count = Arc::new(Count::new().unwrap());
    for _ in 0..2_000 {
        let count = Arc::clone(&count);
        std::thread::spawn(move || count.add(1)).join().unwrap();
    }
    assert_eq!(count.get(), 2_000);
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(Pool::global().iter().count() <= 2 * cores + 1);
}

#[test]
fn sums_never_fall_while_threads_come_and_go() {
    let (count, stop) = (Count::new().unwrap(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..300 {
                std::thread::scope(|inner| {
                    for _ in 0..4 {
                        inner.spawn(|| (0..100).for_each(|_| count.add(1)));
                    }
                });
            }
            stop.store(true, Ordering::Release);
        });
        let mut before = 0;
        while !stop.load(Ordering::Acquire) {
            let now = count.get();
            assert!(now >= before, "{now} after {before}");
            before = now;
        }
    });
    assert_eq!(count.get(), 120_000);
}

#[test]
fn what_a_threads_own_destructors_record_counts() {
    struct Last(Arc<Count>);

    impl Drop for Last {
        fn drop(&mut self) {
            self.0.add(1);
        }
    }

    thread_local! {
        static EARLY: RefCell<Option<Last>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<Last>> = const { RefCell::new(None) };
    }

    let count = Arc::new(Count::new().unwrap());
    for _ in 0..50 {
        let count = Arc::clone(&count);
        std::thread::spawn(move || {
            // One destructor is registered before the slab's, one after: either may run first.
            EARLY.with(|last| *last.borrow_mut() = Some(Last(Arc::clone(&count))));
            count.add(1);
            LATE.with(|last| *last.borrow_mut() = Some(Last(count)));
        })
        .join()
        .unwrap();
    }
    assert_eq!(count.get(), 150);
}
