//! Collectors: what a machine and a runtime do.

#[cfg(target_os = "linux")]
mod host;
mod runtime;
#[cfg(target_os = "linux")]
mod tree;
