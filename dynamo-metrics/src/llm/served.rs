//! The calls that a layer is polling on this thread: what runs meanwhile finds itself within them.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

use super::endpoint::EndpointMetrics;
use super::meter::Made;
use super::timing::Start;
use crate::clock::Instant;

thread_local! {
    /// The innermost one. It has no destructor, which would be asked for with each frame whether it has
    /// run: nothing is left in here when a thread ends.
    static INNERMOST: ManuallyDrop<Innermost> = const { ManuallyDrop::new(Innermost::new()) };
    /// Those around it, outermost first.
    static AROUND: RefCell<Vec<Counted>> = const { RefCell::new(Vec::new()) };
}

/// What there is of a call that is counted. The call gives it away while it is served: calls of the
/// endpoint on this thread are parts of one that is counted already, and producers find it here.
#[derive(Debug)]
pub(super) struct Counted {
    /// `None` once the call has ended, if somebody around it counts it already, and while it is served.
    pub(super) endpoint: Option<EndpointMetrics>,
    /// Where token times begin.
    pub(super) start: Start,
    /// What a producer says of its tokens, if one asked for a meter.
    pub(super) made: Option<Arc<Made>>,
}

/// A [`Counted`] of which each word has a place of its own.
///
/// It comes and goes with each frame, and what is written in other pieces than it is read in has to
/// wait for them: as one value, that was a quarter of what a frame cost. What is mostly not there is
/// not moved at all.
struct Innermost {
    endpoint: Cell<Option<EndpointMetrics>>,
    start: Cell<Instant>,
    read: Cell<Option<Arc<OnceLock<Instant>>>>,
    made: Cell<Option<Arc<Made>>>,
    /// There are others around it.
    nested: Cell<bool>,
}

/// Takes back what a call gave away, also while unwinding.
struct Back<'a>(&'a mut Counted);

/// Runs `part` of a call: what runs on the current thread meanwhile is within it.
#[inline]
pub(super) fn serve<T>(counted: &mut Counted, part: impl FnOnce() -> T) -> T {
    let given = counted.endpoint.is_some() && INNERMOST.with(|innermost| innermost.give(counted));
    let _back = given.then(|| Back(counted));
    part()
}

/// Whether this thread serves a call of this endpoint.
pub(super) fn is_within(id: u64) -> bool {
    let is_this = |endpoint: &Option<EndpointMetrics>| {
        endpoint.as_ref().is_some_and(|endpoint| endpoint.id() == id)
    };
    INNERMOST.with(|innermost| {
        let endpoint = innermost.endpoint.take();
        let is_innermost = is_this(&endpoint);
        innermost.endpoint.set(endpoint);
        let is_around = || around(|around| around.iter().any(|outer| is_this(&outer.endpoint)));
        is_innermost || (innermost.nested.get() && is_around().unwrap_or(false))
    })
}

/// Shows `see` the innermost call that a layer is polling on this thread, where its token times begin,
/// and what is made for it. Those around it, which pass on the same answer, hear of that as well.
pub(super) fn current<T>(see: impl FnOnce(&EndpointMetrics, Start, &Arc<Made>) -> T) -> Option<T> {
    INNERMOST.with(|innermost| {
        let endpoint = innermost.endpoint.take()?;
        let mut rest = innermost.rest();
        let made = rest.made.get_or_insert_default();
        if innermost.nested.get() {
            around(|around| {
                for outer in around {
                    outer.made.get_or_insert_with(|| Arc::clone(made));
                }
            });
        }
        let seen = see(&endpoint, rest.start.clone(), made);
        innermost.endpoint.set(Some(endpoint));
        innermost.put_rest(&mut rest);
        Some(seen)
    })
}

/// Shows those around the innermost one; `None` if the thread is past that.
fn around<T>(see: impl FnOnce(&mut Vec<Counted>) -> T) -> Option<T> {
    AROUND.try_with(|around| see(&mut around.borrow_mut())).ok()
}

impl Innermost {
    const fn new() -> Self {
        Self {
            endpoint: Cell::new(None),
            start: Cell::new(Instant::ORIGIN),
            read: Cell::new(None),
            made: Cell::new(None),
            nested: Cell::new(false),
        }
    }

    /// One more comes, within those that are there; false if it cannot.
    #[inline]
    fn give(&self, counted: &mut Counted) -> bool {
        if let Some(outer) = self.endpoint.replace(counted.endpoint.take())
            && let Err(outer) = self.nest(outer)
        {
            counted.endpoint = self.endpoint.replace(Some(outer));
            return false;
        }
        self.put_rest(counted);
        true
    }

    /// The innermost one leaves.
    #[inline]
    fn take(&self, counted: &mut Counted) {
        counted.endpoint = self.endpoint.take();
        if let Some(read) = self.read.take() {
            counted.start.read = Some(read);
        }
        if let Some(made) = self.made.take() {
            counted.made = Some(made);
        }
        if self.nested.get() {
            self.leave_nest();
        }
    }

    /// The innermost one, whose endpoint this was, is around another now; it is given back if the thread
    /// is past that.
    #[cold]
    fn nest(&self, endpoint: EndpointMetrics) -> Result<(), EndpointMetrics> {
        let mut endpoint = Some(endpoint);
        around(|around| {
            let outer = Counted { endpoint: endpoint.take(), ..self.rest() };
            around.push(outer);
            self.nested.set(true);
        });
        endpoint.map_or(Ok(()), Err)
    }

    /// The last of those around is the innermost one again.
    #[cold]
    fn leave_nest(&self) {
        let last = around(|around| (around.pop(), around.is_empty()));
        if let Some((Some(mut outer), last)) = last {
            self.endpoint.set(outer.endpoint.take());
            self.put_rest(&mut outer);
            self.nested.set(!last);
        }
    }

    /// All but the endpoint.
    #[inline]
    fn rest(&self) -> Counted {
        let start = Start { at: self.start.get(), read: self.read.take() };
        Counted { endpoint: None, start, made: self.made.take() }
    }

    #[inline]
    fn put_rest(&self, counted: &mut Counted) {
        self.start.set(counted.start.at);
        if counted.start.read.is_some() {
            self.read.set(counted.start.read.take());
        }
        if counted.made.is_some() {
            self.made.set(counted.made.take());
        }
    }
}

impl Drop for Back<'_> {
    #[inline]
    fn drop(&mut self) {
        INNERMOST.with(|innermost| innermost.take(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::registry::Registry;

    fn counted(registry: &Registry, name: &str) -> Counted {
        let endpoint = EndpointMetrics::register(&registry.endpoint(name)).unwrap();
        Counted { endpoint: Some(endpoint), start: Start::at(clock::now()), made: None }
    }

    fn id(counted: &Counted) -> u64 {
        counted.endpoint.as_ref().unwrap().id()
    }

    fn innermost() -> Option<u64> {
        current(|endpoint, _, _| endpoint.id())
    }

    #[test]
    fn calls_are_within_those_around_them_and_come_back_whole() {
        let registry = Registry::new();
        let mut calls = ["a", "b", "c"].map(|name| counted(&registry, name));
        let ids = calls.each_ref().map(id);
        let within = || ids.map(is_within);
        let [a, b, c] = &mut calls;
        serve(a, || {
            assert_eq!((innermost(), within()), (Some(ids[0]), [true, false, false]));
            serve(b, || {
                assert_eq!((innermost(), within()), (Some(ids[1]), [true, true, false]));
                serve(c, || assert_eq!((innermost(), within()), (Some(ids[2]), [true; 3])));
                assert_eq!((innermost(), within()), (Some(ids[1]), [true, true, false]));
            });
            assert_eq!((innermost(), within()), (Some(ids[0]), [true, false, false]));
        });
        assert_eq!((innermost(), within()), (None, [false; 3]));
        assert_eq!(calls.each_ref().map(id), ids);
    }

    #[test]
    fn what_a_producer_says_is_heard_by_all_around_it() {
        let registry = Registry::new();
        let [mut outer, mut inner] = ["outer", "inner"].map(|name| counted(&registry, name));
        let (start, read) = Start::where_read(clock::now());
        outer.start = start;
        for _ in 0..2 {
            serve(&mut outer, || {
                serve(&mut inner, || current(|_, start, _| assert!(start.read.is_none())));
            });
            serve(&mut outer, || current(|_, start, _| assert!(start.read.is_some())));
        }
        let [outer_made, inner_made] = [&outer, &inner].map(|of| of.made.as_ref().unwrap());
        assert!(Arc::ptr_eq(outer_made, inner_made));
        drop(read);
    }

    #[test]
    fn a_panic_leaves_no_call_behind() {
        let registry = Registry::new();
        let [mut outer, mut inner] = ["outer", "inner"].map(|name| counted(&registry, name));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            serve(&mut outer, || serve(&mut inner, || panic!("as it is meant to")));
        }));
        assert!(panicked.is_err());
        assert_eq!(innermost(), None);
        assert!(outer.endpoint.is_some() && inner.endpoint.is_some());
        serve(&mut inner, || assert!(innermost().is_some()));
    }
}
