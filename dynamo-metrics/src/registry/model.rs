//! The orderings of lists, under a model checker: walks that meet those who add and remove.

use loom::sync::Arc;
use loom::thread;

use super::list::List;

fn walk(list: &List<u32>) -> Vec<u32> {
    let view = list.view();
    (0..view.len()).filter_map(|place| view.with(place, |item| **item)).collect()
}

fn add(list: &List<u32>, item: u32) -> usize {
    list.push(std::sync::Arc::new(item))
}

#[test]
fn what_a_walk_counts_is_there() {
    loom::model(|| {
        let list = Arc::new(List::new());
        let maker = {
            let list = Arc::clone(&list);
            thread::spawn(move || [1, 2].map(|item| add(&list, item)))
        };
        let (first, second) = (walk(&list), walk(&list));
        // Nothing that is counted is missing, nothing goes, and the order is that of creation.
        assert!(second.starts_with(&first), "{first:?} then {second:?}");
        assert!([1, 2].starts_with(&second), "{second:?}");
        maker.join().unwrap();
        assert_eq!(walk(&list), [1, 2]);
    });
}

#[test]
fn what_is_removed_and_made_again_is_seen_once() {
    loom::model(|| {
        let list = Arc::new(List::new());
        let places = [7, 8].map(|item| add(&list, item));
        let changer = {
            let list = Arc::clone(&list);
            thread::spawn(move || {
                list.clear(places[0]);
                list.shorten(|_, _| {});
                add(&list, 7);
            })
        };
        let seen = walk(&list);
        assert!([&[7, 8][..], &[8], &[8, 7]].contains(&&*seen), "{seen:?}");
        changer.join().unwrap();
        assert_eq!(walk(&list), [8, 7]);
    });
}

#[test]
fn a_list_that_is_shortened_loses_nothing() {
    loom::model(|| {
        let list = Arc::new(List::new());
        let places = [1, 2, 3].map(|item| add(&list, item));
        let changer = {
            let list = Arc::clone(&list);
            thread::spawn(move || {
                list.clear(places[0]);
                list.clear(places[1]);
                list.shorten(|_, _| {});
            })
        };
        let seen = walk(&list);
        assert_eq!(seen.last(), Some(&3), "{seen:?}");
        changer.join().unwrap();
        assert_eq!((walk(&list), list.view().len()), (vec![3], 1));
    });
}
