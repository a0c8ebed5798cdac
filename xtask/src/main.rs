//! What a person would otherwise type by hand.
//!
//! - `cargo xtask test`: everything that must hold, in one command; with `--gpu`, what needs a GPU.
//! - `cargo xtask bench`: what everything costs, beside other libraries.
//! - `cargo xtask docs`: the pages that say which metrics there are.
//! - `cargo xtask fuzz`: bytes that nobody thought of, for what reads bytes from outside.

mod fuzz;
mod steps;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask test [--gpu]
       cargo xtask bench [--check] [--quick] [--only <text>]
       cargo xtask bench --soak [<minutes>] [--every <seconds>]
       cargo xtask docs [--check]
       cargo xtask fuzz [<seconds>]

  test   fetch what the tests need and the machine lacks, then check the format, lint, build the
         documentation, and run every test; --gpu runs what needs one of NVIDIA's GPUs instead, and
         compares what is measured of it with nvidia-smi
  bench  time ours and other libraries in one run, and write benches/RESULTS.md; --check fails if a
         row of ours is past its budget, --quick takes fewer rounds, --only takes the rows that
         contain a text (these two print the report and write nothing); --soak records and scrapes
         100 000 series at once instead, for ten minutes or so many, a scrape every five seconds
         or so many
  docs   write METRICS.md and METRICS.json from what the sets of metrics say of themselves; --check
         fails if they are not what would be written, as `test` does
  fuzz   give made-up bytes to each reader of bytes from outside, for a minute each or so many
         seconds, and fail at the first that it does not stand
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => steps::test(&root()),
        ["test", "--gpu"] => steps::gpu(&root()),
        ["bench", ref options @ ..] => steps::bench(&root(), options),
        ["docs"] => steps::docs(&root(), "overwrite"),
        ["docs", "--check"] => steps::docs(&root(), "check"),
        ["fuzz", ref options @ ..] => fuzz::fuzz(&root(), options),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder.
fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}
