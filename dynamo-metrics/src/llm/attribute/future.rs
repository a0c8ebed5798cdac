//! Calls that end with a future that was returned.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::llm::call::Call;

pin_project! {
    /// A future whose value ends a call.
    pub struct Measured<F, D> {
        // Before the future, so that the call has its end when the future's own drop runs.
        call: Call,
        done: D,
        #[pin]
        inner: F,
    }
}

/// The call goes on as `future`, and ends as `done` has it.
pub fn measured<F, T, D>(future: F, call: Call, done: D) -> Measured<F, D>
where
    F: Future,
    D: FnMut(Call, F::Output) -> T,
{
    Measured { call, done, inner: future }
}

impl<F, T, D> Future for Measured<F, D>
where
    F: Future,
    D: FnMut(Call, F::Output) -> T,
{
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let this = self.project();
        let value = ready!(this.call.run(|| this.inner.poll(cx)));
        let call = std::mem::replace(this.call, Call::unmeasured());
        Poll::Ready((this.done)(call, value))
    }
}
