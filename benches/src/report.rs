//! The run, and what is written about it.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, ensure};
use clap::Parser;

use crate::budget::{self, Limit, TOLERANCE, Verdict};
use crate::library::OURS;
use crate::machine;
use crate::race::{Figures, race};
use crate::row::{self, Pace, Table, Unit};
use crate::soak;

const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// Minutes of a soak whose figures are kept.
const ENOUGH: u64 = 10;

const METHOD: &str = "\
- Every operation is a loop of its own, long enough for the clock not to matter: 2 ms, or 5 ms with two
  threads, which are bound to a core each. In each round every contender of a row runs once, in random
  order; a figure is the median over the rounds (31, or 15 where a run takes longer).
- Labels walk at random over 64 series; five labels have 67 bytes of values. Samples are uniform in
  their logarithm from 1 ms to 60 s, and too many for a branch predictor to learn.
- Tails are of single operations, with a fence and two reads of the clock in each.
- Layers wrap a service in memory whose frames are ready, and figures are differences to the service
  alone, which runs right before and after. Attributes likewise.
- Heap is what was asked of the allocator and not given back, without its headers. Ours leaves out the
  cells of the one thread that recorded, 8 bytes for a counter and 128 for a histogram of 14 bounds:
  each thread that touches a series adds as much.
- Before anything is timed, each library's page must show all that was recorded, and again after.
- The programs are built with fat link-time optimisation. One peer turns on the protobuf encoder of
  prometheus-client, which makes its text slower by 5 to 9 %.
- Where threads contend, figures vary up to threefold from run to run.";

/// What is measured, and what is made of it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
pub struct Options {
    /// Fails if a row of ours is past its budget; writes nothing.
    #[arg(long)]
    check: bool,
    /// Runs only the rows that contain this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Takes fewer rounds: enough to look at, too few to rely on.
    #[arg(long)]
    quick: bool,
    /// Records and scrapes for so many minutes, ten if no number is given, instead of all else.
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "10")]
    soak: Option<u64>,
    /// With `--soak`, seconds from one scrape's start to the next, of each scraper.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    every: u64,
}

/// A row that was run.
struct Done {
    name: &'static str,
    table: Table,
    unit: Unit,
    figures: Figures,
}

/// Runs what `options` ask for; with none, it writes `RESULTS.md`, and else it prints that.
/// Tells whether all is well: false only if a check was asked for and a budget is not met.
///
/// # Errors
/// Whatever a library says, and that one lost something.
pub fn bench(options: &Options) -> anyhow::Result<bool> {
    if let Some(minutes) = options.soak {
        return soaked(minutes.max(1), Duration::from_secs(options.every));
    }
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.contains(only));
    row::prove()?;
    let mut done = Vec::new();
    for row in row::all().into_iter().filter(|row| wanted(row.name)) {
        let rounds = match (row.pace, options.quick) {
            (Pace::Quick, false) => 31,
            (Pace::Slow, false) => 15,
            (Pace::Quick, true) => 5,
            (Pace::Slow, true) => 3,
        };
        let figures = (row.field)().and_then(|field| race(field, rounds));
        let figures = figures.with_context(|| row.name)?;
        let row = Done { name: row.name, table: row.table, unit: row.unit, figures };
        row.print();
        done.push(row);
    }
    if row::heap::ROWS.iter().any(|(name, ..)| wanted(name)) {
        let counted = counted()?;
        for row in counted.into_iter().filter(|row| wanted(row.name)) {
            row.print();
            done.push(row);
        }
    }
    ensure!(!done.is_empty(), "no row contains that");
    let report = report(&done);
    if options.only.is_none() && !options.quick && !options.check {
        let kept = fs::read_to_string(RESULTS).unwrap_or_default();
        let kept = kept.find(soak::TITLE).map_or("", |at| &kept[at..]);
        write(&(report + kept))?;
    } else {
        println!("\n{report}");
    }
    let past: Vec<_> = verdicts(&done).into_iter().filter(Verdict::is_past).collect();
    for verdict in &past {
        println!("past its budget: {}: {}", verdict.budget.row, figure(verdict.ours));
    }
    Ok(past.is_empty() || !options.check)
}

/// Soaks, and puts what is told of it at the end of `RESULTS.md`, if it took long enough to rely on.
fn soaked(minutes: u64, every: Duration) -> anyhow::Result<bool> {
    let (section, is_well) = soak::soak(minutes, every)?;
    println!("\n{section}");
    if minutes >= ENOUGH {
        let mut results = fs::read_to_string(RESULTS).unwrap_or_default();
        results.truncate(results.find(soak::TITLE).unwrap_or(results.len()));
        write(&format!("{}\n\n{section}", results.trim_end()))?;
    }
    Ok(is_well)
}

fn write(results: &str) -> anyhow::Result<()> {
    fs::write(RESULTS, results).with_context(|| format!("cannot write {RESULTS}"))
}

/// The rows of heap, from the program that counts.
fn counted() -> anyhow::Result<Vec<Done>> {
    let program = env::current_exe()?.with_file_name("dynamo-metrics-bench-heap");
    let output = Command::new(&program)
        .output()
        .with_context(|| format!("cannot start {}, which is built apart", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {}", program.display(), said.trim());
    let lines = String::from_utf8(output.stdout)?;
    let figures = |row| {
        let cells = lines.lines().map(|line| line.split('\t').collect::<Vec<_>>());
        let of = cells.filter_map(|cells| match cells[..] {
            [name, contender, figure] if name == row => {
                Some((contender.to_owned(), figure.parse().ok()?))
            }
            _ => None,
        });
        Figures(of.collect())
    };
    let rows = row::heap::ROWS;
    Ok(rows.map(|(name, table, unit)| Done { name, table, unit, figures: figures(name) }).into())
}

fn verdicts(done: &[Done]) -> Vec<Verdict> {
    let figures: Vec<_> = done.iter().map(|row| (row.name, &row.figures)).collect();
    budget::ALL.iter().filter_map(|budget| budget.judge(&figures)).collect()
}

fn report(done: &[Done]) -> String {
    let mut text = String::from("# Results\n\nWritten by `cargo xtask bench`.\n\n");
    let _ = writeln!(text, "{}.\n\n{METHOD}\n", machine::machine());
    if let Some(peers) = machine::peers() {
        let _ = writeln!(text, "{peers}.\n");
    }
    budgets(&mut text, done);
    for table in Table::ALL {
        let rows: Vec<_> = done.iter().filter(|row| row.table == table).collect();
        if !rows.is_empty() {
            side_by_side(&mut text, table, &rows);
        }
    }
    text
}

fn budgets(text: &mut String, done: &[Done]) {
    let _ = writeln!(
        text,
        "## Ours against its budgets\n\nA budget in time is a ratio to a yardstick of the same run. \
         The tolerance is {TOLERANCE}x.\n\n\
         | | ours | at most | which is | |\n|---|---|---|---|---|"
    );
    for verdict in verdicts(done) {
        let row = verdict.budget.row;
        let unit = done.iter().find(|row| row.name == verdict.budget.row).map(|row| row.unit);
        let unit = unit.map_or("", Unit::symbol);
        let basis = match verdict.budget.limit {
            Limit::Always(_) => "on any machine".to_owned(),
            Limit::Beside(ours, _) => verdict
                .by
                .map_or_else(String::new, |by| format!("{} x {}", figure(ours / by.cost), by.name)),
        };
        let most = verdict.at_most.map_or_else(|| "-".to_owned(), figure);
        let (ours, words) = (figure(verdict.ours), verdict.in_words());
        let _ = writeln!(text, "| {row} | {ours} {unit} | {most} | {basis} | {words} |");
    }
    text.push('\n');
}

/// Contenders down, rows across.
fn side_by_side(text: &mut String, table: Table, rows: &[&Done]) {
    let _ = write!(text, "## {}\n\n|", table.title());
    for row in rows {
        let _ = write!(text, " | {}, {}", row.name, row.unit.symbol());
    }
    let _ = write!(text, " |\n|---|{}\n", "---|".repeat(rows.len()));
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.figures.0) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    // Ours first, bare operations last, the rest as they come.
    names.sort_by_key(|name| (*name != OURS, name.starts_with("(bare)")));
    for name in names {
        let _ = write!(text, "| {name}");
        for row in rows {
            let cell = row.figures.get(name).map_or_else(|| "-".to_owned(), |own| row.cell(own));
            let _ = write!(text, " | {cell}");
        }
        text.push_str(" |\n");
    }
    text.push('\n');
}

impl Done {
    fn print(&self) {
        println!("{}, {}", self.name, self.unit.symbol());
        for (name, own) in &self.figures.0 {
            println!("    {name:32} {}", self.cell(*own));
        }
    }

    /// A figure, with its ratio to ours.
    fn cell(&self, own: f64) -> String {
        match self.figures.get(OURS) {
            Some(ours) if ours > 0.0 && (own - ours).abs() > f64::EPSILON => {
                format!("{} ({}x)", figure(own), figure(own / ours))
            }
            _ => figure(own),
        }
    }
}

/// Three digits that count.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 100.0 || value == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}
