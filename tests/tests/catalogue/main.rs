//! The catalogue: that it has every set, that its pages are those of the repository, and that nothing is
//! shown that it does not have.

mod exposed;
mod json;
mod listing;
mod markdown;
mod sources;
