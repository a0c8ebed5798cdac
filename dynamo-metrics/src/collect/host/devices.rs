//! Which devices are shown: those that were there last, at most so many.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use crate::collect::error::CollectError;

/// Devices of one sort, by name or whatever tells them apart.
#[derive(Debug)]
pub(super) struct Devices<K> {
    what: &'static str,
    most: usize,
    /// Each with the round in which it was seen last.
    seen: HashMap<K, u64>,
    round: u64,
    shown: usize,
    left_out: usize,
}

impl<K: Hash + Eq> Devices<K> {
    pub(super) fn new(what: &'static str, most: usize) -> Self {
        Self { what, most, seen: HashMap::new(), round: 0, shown: 0, left_out: 0 }
    }

    /// A look at all of them begins.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        (self.shown, self.left_out) = (0, 0);
    }

    /// This one is there; whether it may be shown. One that is there twice is shown once.
    pub(super) fn admit<Q>(&mut self, device: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let seen = self.seen.get_mut(device);
        if seen.as_ref().is_some_and(|seen| **seen == self.round) {
            return false;
        }
        if self.shown >= self.most {
            self.left_out += 1;
            return false;
        }
        self.shown += 1;
        match seen {
            Some(seen) => *seen = self.round,
            None => drop(self.seen.insert(device.to_owned(), self.round)),
        }
        true
    }

    /// Whether none is there so far.
    pub(super) fn is_none_shown(&self) -> bool {
        self.shown == 0
    }

    /// The look is over: `gone` is called with those that are not there any more.
    pub(super) fn end(&mut self, mut gone: impl FnMut(&K)) -> Result<(), CollectError> {
        self.seen.retain(|device, seen| {
            let stays = *seen == self.round;
            if !stays {
                gone(device);
            }
            stays
        });
        let Self { what, most, left_out, .. } = *self;
        if left_out == 0 { Ok(()) } else { Err(CollectError::TooMany { what, most, left_out }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_come_and_go_and_are_bounded() {
        let mut devices = Devices::<String>::new("disks", 2);
        devices.begin();
        assert!(devices.admit("a") && !devices.admit("a") && devices.admit("b"));
        assert!(!devices.admit("c"));
        let error = devices.end(|_| unreachable!()).unwrap_err().to_string();
        assert_eq!(error, "1 of the disks are left out, as there are more than 2");
        devices.begin();
        assert!(devices.admit("c") && devices.admit("a"));
        let mut gone = Vec::new();
        devices.end(|device| gone.push(device.clone())).unwrap();
        assert_eq!(gone, ["b"]);
    }
}
