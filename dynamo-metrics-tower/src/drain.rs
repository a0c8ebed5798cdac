//! Waiting for the last body.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::routes::Routes;

/// Waits until no request of a layer is open, made by [`MetricsLayer::drain`].
///
/// [`MetricsLayer::drain`]: crate::MetricsLayer::drain
#[derive(Debug, Clone)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Drain(Arc<Routes>);

impl Drain {
    pub(crate) fn new(routes: Arc<Routes>) -> Self {
        Self(routes)
    }
}

impl Future for Drain {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // All of them are asked: one whose last request ends first wakes the task as well.
        let open = self.0.endpoints().filter(|endpoint| endpoint.poll_idle(cx).is_pending());
        if open.count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}
