//! The one door to atomics, so that every cell can be put under a model checker.

pub(crate) use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
