//! The one door to atomics, so that every cell can be put under a model checker
//! (`--cfg dynamo_metrics_loom`).

#[cfg(dynamo_metrics_loom)]
pub(crate) use loom::sync::Mutex;
#[cfg(dynamo_metrics_loom)]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
#[cfg(not(dynamo_metrics_loom))]
pub(crate) use std::sync::Mutex;
#[cfg(not(dynamo_metrics_loom))]
pub(crate) use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
