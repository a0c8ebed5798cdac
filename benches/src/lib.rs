//! What recording, scraping and measuring requests cost, beside other libraries in one run.
//!
//! `cargo xtask bench` runs it. A *row* is one operation; its *contenders* do it in turn, in a random
//! order that changes with each round; a figure is the median over the rounds. Before a row counts,
//! each contender must show that it recorded what it was asked to.
//!
//! | file | holds |
//! |---|---|
//! | `library/` | the libraries, behind one trait |
//! | `row/` | the operations, and who takes part in each |
//! | `race` | rounds and medians |
//! | `budget` | what ours may cost |
//! | `inputs`, `page` | labels and samples; what a page of text says |
//! | `soak` | minutes of recording and scraping at once |
//! | `report`, `machine` | `RESULTS.md` |

mod budget;
mod inputs;
mod library;
mod machine;
mod page;
mod race;
mod report;
mod row;
mod soak;

pub use report::{Options, bench};
pub use row::heap::{Allocated, heap};
