//! What users' functions say of a value. One that panics says nothing: the call goes on without it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::label::LabelValue;
use crate::llm::call::Call;
use crate::llm::outcome::{End, Outcome};
use crate::metric::TraceContext;

/// What `err(label = ..)` may stand on.
#[diagnostic::on_unimplemented(
    message = "`err(label = ..)` is for functions that return a `Result`, and not `{Self}`"
)]
pub trait Fallible {
    type Error;

    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// The call went well if `predicate` says so of its value.
pub fn ok_if<T, F: FnOnce(&T) -> bool>(call: Call, value: &T, predicate: F) -> Call {
    judged(call, value, predicate, true)
}

/// The call failed if `predicate` says so of its value.
pub fn error_if<T, F: FnOnce(&T) -> bool>(call: Call, value: &T, predicate: F) -> Call {
    judged(call, value, predicate, false)
}

fn judged<T, F: FnOnce(&T) -> bool>(mut call: Call, value: &T, predicate: F, ok: bool) -> Call {
    if call.endpoint().is_some()
        && let Some(holds) = said(|| predicate(value))
    {
        call.judge(holds == ok);
    }
    call
}

/// Ends the call if its value is an error, as what `label` says of that.
pub fn error_label<V, L, F>(mut call: Call, value: &V, label: F) -> Call
where
    V: Fallible,
    L: LabelValue,
    F: FnOnce(&V::Error) -> L,
{
    if let Some(error) = value.error()
        && call.may_fail()
        && let Some(label) = said(|| label(error))
    {
        let end = End { outcome: Outcome::ServerError, in_body: false, status: None };
        call.end_as(end, label.as_label());
    }
    call
}

/// The call belongs to this trace, which its exemplars lead to.
pub fn traced(mut call: Call, trace: impl Into<Option<TraceContext>>) -> Call {
    call.trace(trace.into());
    call
}

fn said<T>(ask: impl FnOnce() -> T) -> Option<T> {
    let said = catch_unwind(AssertUnwindSafe(ask)).ok();
    if said.is_none() {
        tracing::error!("a function that was to judge a call panicked; nobody judges it");
    }
    said
}
