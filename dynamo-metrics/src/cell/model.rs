//! The orderings of cells, under a model checker: every way in which two threads can meet.
//!

use loom::sync::Arc;
use loom::thread;

use super::slab::Pool;

const COLUMN: u32 = 1;

/// A handle of a series, as `Run` is: its last drop clears the column.
struct Handle(Arc<Pool>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.iter().for_each(|slab| slab.clear(COLUMN));
    }
}

/// What a thread does that records once and ends.
fn live(pool: &Pool) {
    match pool.take() {
        Some(slab) => {
            slab.page(COLUMN).change(COLUMN, |value| value + 1);
            pool.give_back(slab);
        }
        None => pool.shared().change_shared(COLUMN, |value| value + 1),
    }
}

fn sum(pool: &Pool) -> u64 {
    pool.iter().map(|slab| slab.read(COLUMN)).sum()
}

#[test]
fn a_slab_that_is_passed_on_loses_nothing() {
    for most_owned in [0, 1, 2] {
        loom::model(move || {
            let pool = Arc::new(Pool::new(most_owned));
            let threads = [0, 1].map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || live(&pool))
            });
            let early = sum(&pool);
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(early <= 2);
            assert_eq!(sum(&pool), 2);
        });
    }
}

#[test]
fn sums_do_not_fall_while_a_slab_is_passed_on() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(1));
        let writers = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                live(&pool);
                live(&pool);
            })
        };
        let (first, second) = (sum(&pool), sum(&pool));
        assert!(first <= second, "{first} then {second}");
        writers.join().unwrap();
        assert_eq!(sum(&pool), 2);
    });
}

#[test]
fn a_column_that_is_taken_again_starts_at_zero() {
    loom::model(|| {
        let pool = Arc::new(Pool::new(2));
        let first = Arc::new(Handle(Arc::clone(&pool)));
        let other = {
            let first = Arc::clone(&first);
            thread::spawn(move || live(&first.0))
        };
        live(&first.0);
        drop(first);
        other.join().unwrap();
        // Both handles are gone, whichever was last; the next one finds nothing.
        let second = Arc::new(Handle(Arc::clone(&pool)));
        assert_eq!(sum(&pool), 0);
        let thread = {
            let second = Arc::clone(&second);
            thread::spawn(move || live(&second.0))
        };
        thread.join().unwrap();
        assert_eq!(sum(&pool), 1);
    });
}
