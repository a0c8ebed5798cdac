//! What the code that `#[instrumented_endpoint]` writes calls. No public API: it changes with the
//! macro, and users reach it only through that.
//!
//! | file | holds |
//! |---|---|
//! | `site` | where an attribute stands, and the endpoint that it counts for |
//! | `choices` | what its arguments choose |
//! | `verdict` | what users' functions say of a value: whether it went well, and what failed |
//! | `ends` | where a call ends, by the type of its value |
//! | `future` | calls that end with a future that was returned |
//! | `streams` | calls that go on as a stream |

#![expect(missing_docs, missing_debug_implementations, reason = "no public API")]
#![expect(clippy::missing_errors_doc, clippy::must_use_candidate, reason = "no public API")]
#![expect(clippy::return_self_not_must_use, reason = "no public API")]

mod choices;
mod ends;
mod future;
mod site;
mod streams;
mod verdict;

pub use super::call::{Call, Cancelled};
pub use choices::{Choices, time_bounds};
pub use ends::{
    BodyEnd, ByResult, ByStatus, ByValue, IntoResponseEnd, MayRefuse, MaybeResponse, Reader,
    Refuses, ResultEnd, Rewrap, Status, StatusEnd, Tag, ToBodyEnd, ValueEnd, fail, refused, run,
    take,
};
pub use future::{Measured, measured};
pub use site::{__dynamo_metrics_scope, Site, start};
pub(super) use site::{DescriptionSet, Known};
pub use streams::{Bytes, Chunk, IsResult, IsValue, any, ask, metered, metered_bytes, one};
pub use verdict::{Fallible, error_if, error_label, ok_if, traced};
