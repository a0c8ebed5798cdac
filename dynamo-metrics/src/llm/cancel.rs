//! Why a request was dropped, where whoever drops it knows.

use std::cell::Cell;

use super::outcome::Outcome;

thread_local! {
    /// What the current thread drops requests for. It has no destructor.
    static REASON: Cell<Option<CancelReason>> = const { Cell::new(None) };
}

/// Why code drops a request whose client has not left.
///
/// A future or a body that is dropped looks the same whether its client is gone or a timer ran out.
/// Code that knows says so around the drop; the request then has that outcome, and is not
/// `cancelled`.
///
/// # Cost
/// None for a request that nobody drops.
///
/// # Examples
/// ```
/// use dynamo_metrics::llm::{CancelReason, EndpointMetrics, Outcome, ResponseState};
/// use dynamo_metrics::registry::Registry;
///
/// let endpoint = EndpointMetrics::register(&Registry::new().endpoint("e"))?;
/// let answer = ResponseState::start(&endpoint, &http::Method::GET);
/// CancelReason::Timeout.during(|| drop(answer));
/// assert_eq!(endpoint.ended(Outcome::Timeout), 1);
/// # Ok::<(), dynamo_metrics::registry::RegisterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CancelReason {
    /// It took too long.
    Timeout,
    /// There is no room for it.
    Rejected,
}

/// Takes the reason back, also while unwinding.
struct Restored(Option<CancelReason>);

impl CancelReason {
    /// Runs `work`, which drops requests for this reason, on the current thread.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        let _restored = Restored(REASON.replace(Some(self)));
        work()
    }

    /// Why what is dropped here and now is dropped, if somebody said.
    #[must_use]
    pub fn current() -> Option<Self> {
        REASON.get()
    }

    /// The outcome of what is dropped here and now.
    pub(super) fn outcome() -> Outcome {
        match REASON.get() {
            None => Outcome::Cancelled,
            Some(Self::Timeout) => Outcome::Timeout,
            Some(Self::Rejected) => Outcome::Rejected,
        }
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        REASON.set(self.0);
    }
}
