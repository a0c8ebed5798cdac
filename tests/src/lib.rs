//! What the stories share: a page of metrics that can be asked, and both ends of a request.

pub mod counts;
pub mod exposed;
pub mod golden;
pub mod h1;
pub mod openai;
pub mod page;
pub mod peer;
pub mod program;
pub mod prometheus;
pub mod script;
pub mod tools;

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
