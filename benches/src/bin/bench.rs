//! Times everything, writes the report, and says whether ours keeps to its budgets.

use std::process::ExitCode;

use clap::Parser as _;
use dynamo_metrics_benches::{Options, bench};

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
