//! Rosters: members that come and go, and take their series with them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Who is there.
#[derive(Debug)]
pub(super) struct Roster<K, S: Leave>(Mutex<HashMap<K, Weak<Member<K, S>>>>)
where
    K: Eq + Hash + Clone;

/// One member, for as long as somebody holds it.
#[derive(Debug)]
pub(super) struct Member<K, S: Leave>
where
    K: Eq + Hash + Clone,
{
    key: K,
    roster: Arc<Roster<K, S>>,
    pub(super) series: S,
}

/// What a member has.
pub(super) trait Leave {
    /// Removes its series.
    fn leave(&self);
}

impl<K: Eq + Hash + Clone, S: Leave> Roster<K, S> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// The member of this key; all who ask for one have the same, and it leaves with the last.
    pub(super) fn join(self: &Arc<Self>, key: K, series: impl FnOnce() -> S) -> Arc<Member<K, S>> {
        let mut there = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(member) = there.get(&key).and_then(Weak::upgrade) {
            return member;
        }
        let member =
            Arc::new(Member { key: key.clone(), roster: Arc::clone(self), series: series() });
        there.insert(key, Arc::downgrade(&member));
        member
    }
}

impl<K: Eq + Hash + Clone, S: Leave> Drop for Member<K, S> {
    fn drop(&mut self) {
        let mut there = self.roster.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Who joined again meanwhile has the series now.
        let own = |weak: &Weak<Self>| std::ptr::eq(weak.as_ptr(), &raw const *self);
        if there.get(&self.key).is_some_and(own) {
            there.remove(&self.key);
            self.series.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Left(Arc<AtomicUsize>);

    impl Leave for Left {
        fn leave(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_member_leaves_with_the_last_who_holds_it() {
        let (roster, left) = (Roster::new(), Arc::new(AtomicUsize::new(0)));
        let join = |key: u8| roster.join(key, || Left(Arc::clone(&left)));
        let (first, second, other) = (join(1), join(1), join(2));
        assert!(Arc::ptr_eq(&first, &second) && !Arc::ptr_eq(&first, &other));
        drop(first);
        assert_eq!(left.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(left.load(Ordering::Relaxed), 1);
        drop(join(1));
        assert_eq!(left.load(Ordering::Relaxed), 2);
    }
}
