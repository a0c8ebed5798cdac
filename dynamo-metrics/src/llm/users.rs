//! Functions of users that are asked within a request.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which function of a user's it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserFunction {
    /// It chooses the endpoint of a request.
    Endpoint,
    /// It chooses the reader of an answer.
    Reader,
    /// It says what an error means.
    Reason,
    /// It counts the tokens of an item.
    Count,
    /// It judges a value, or names its error.
    Verdict,
}

impl UserFunction {
    /// Asks a function of a user's, which may panic: it has said nothing then, and the request goes
    /// on.
    ///
    /// A panic is logged, at the first, second, fourth, eighth time and so on: whoever can cause one
    /// can cause many.
    pub fn ask<T>(self, function: impl FnOnce() -> Option<T>) -> Option<T> {
        static PANICS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
        catch_unwind(AssertUnwindSafe(function)).unwrap_or_else(|_| {
            let panics = PANICS[self as usize].fetch_add(1, Ordering::Relaxed) + 1;
            if panics.is_power_of_two() {
                tracing::error!(function = ?self, panics, "a function that a request asks panicked");
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_panics_has_said_nothing() {
        assert_eq!(UserFunction::Endpoint.ask(|| Some(1)), Some(1));
        assert_eq!(UserFunction::Reason.ask(|| panic!("as it is meant to")), None::<u8>);
    }
}
