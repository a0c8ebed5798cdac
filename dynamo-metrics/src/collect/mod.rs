//! Values that have to be fetched: of the hardware that a service runs on.

#[cfg(feature = "gpu")]
pub mod gpu;
