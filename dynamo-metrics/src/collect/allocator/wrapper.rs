//! The allocator that counts, around another one that allocates.

// The trait asks for it; nothing is done with a pointer but to hand it on.
#![expect(unsafe_code, reason = "an allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};

use super::count;

/// An allocator that counts what another one allocates, for an
/// [`AllocatorCollector`](super::AllocatorCollector) to show.
///
/// It wraps any: [`System`], or that of `jemalloc` or `mimalloc`. All of them count together.
///
/// # Cost
/// Two additions to a row of the thread's own for a block that is allocated and given back.
/// Past 128 threads at once, those that came last share a row, and pay for atomic additions.
///
/// # Examples
/// ```
/// use std::alloc::System;
/// use dynamo_metrics::collect::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator<System> = CountingAllocator::new(System);
///
/// # fn main() {
/// assert_eq!(vec![1, 2, 3].len(), 3);
/// # }
/// ```
#[derive(Debug, Default, Clone, Copy)]
pub struct CountingAllocator<A = System>(A);

impl<A> CountingAllocator<A> {
    /// Counts what `allocator` allocates.
    #[must_use]
    pub const fn new(allocator: A) -> Self {
        Self(allocator)
    }
}

// SAFETY: every call goes to the allocator within as it came, and what that returns is returned.
// Counting neither allocates nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract of this very method.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            count::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { self.0.alloc_zeroed(layout) };
        if !block.is_null() {
            count::allocated(layout.size());
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let other = unsafe { self.0.realloc(block, layout, size) };
        if !other.is_null() {
            count::allocated(size);
            count::deallocated(layout.size());
        }
        other
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) };
        count::deallocated(layout.size());
    }
}
