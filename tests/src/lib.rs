//! What the stories share: a page of metrics that can be asked.

pub mod page;
