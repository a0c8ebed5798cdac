//! What users' functions say of a value. One that panics says nothing: the call goes on without it.

use http::StatusCode;

use crate::label::LabelValue;
use crate::llm::call::Call;
use crate::llm::outcome::{End, Outcome};
use crate::llm::users::UserFunction;
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
        && let Some(holds) = UserFunction::Verdict.ask(|| Some(predicate(value)))
    {
        call.judge(holds == ok);
    }
    call
}

/// Ends the call if its value is an error, as what `label` says of that, and as its `status` says if it
/// has one.
pub fn error_label<V, L, F>(mut call: Call, value: &V, status: Option<StatusCode>, label: F) -> Call
where
    V: Fallible,
    L: LabelValue,
    F: FnOnce(&V::Error) -> L,
{
    if let Some(error) = value.error()
        && call.may_fail()
        && let Some(label) = UserFunction::Verdict.ask(|| Some(label(error)))
    {
        let outcome = status.map_or(Outcome::ServerError, Outcome::of_status);
        let end = End { outcome, in_body: false, status };
        call.end_as(end, label.as_label());
    }
    call
}

/// The call belongs to this trace, which its exemplars lead to.
pub fn traced(mut call: Call, trace: impl Into<Option<TraceContext>>) -> Call {
    call.trace(trace.into());
    call
}
