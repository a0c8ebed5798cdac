//! Attributes: what they add to the time that a crate takes to compile.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::{Pace, Row, Table, Unit};
use crate::library::OURS;
use crate::race::{Contender, Field, function};

pub(crate) const COMPILE: &str = "attribute, added to the compile time of 500 async fns";
pub(crate) const TRACING: &str = "tracing::instrument";

const FUNCTIONS: usize = 500;

/// The crates: the functions alone, and with an attribute each.
const BARE: (&str, &str) = ("bare", "");
const INSTRUMENTED: (&str, &str) = ("instrumented", "#[dynamo_metrics::instrumented_endpoint]");
const TRACED: (&str, &str) = ("traced", "#[tracing::instrument]");

/// A workspace of its own, whose crates are compiled again and again.
struct Workspace {
    folder: PathBuf,
    /// How often something was compiled: each time it has to differ.
    times: usize,
}

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        name: COMPILE,
        table: Table::Attribute,
        unit: Unit::Milliseconds,
        pace: Pace::Slow,
        field,
    }]
}

fn field() -> anyhow::Result<Field> {
    let workspace = Rc::new(RefCell::new(Workspace::new()?));
    let added = |of| -> Box<dyn Contender> {
        let workspace = Rc::clone(&workspace);
        function(move || {
            let mut workspace = workspace.borrow_mut();
            Ok(workspace.compile(of)? - workspace.compile(BARE)?)
        })
    };
    Ok(vec![(OURS.to_owned(), added(INSTRUMENTED)), (TRACING.to_owned(), added(TRACED))])
}

impl Workspace {
    fn new() -> anyhow::Result<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = own.parent().context("the benches lie in a workspace")?;
        let folder = root.join("target/bench-compile");
        let crates = [BARE, INSTRUMENTED, TRACED];
        let members = crates.map(|(name, _)| name);
        write(&folder.join("Cargo.toml"), &manifest(root, &members))?;
        // The same versions as ours, so that nothing has to be asked for.
        let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
        write(&folder.join("Cargo.lock"), &lock)?;
        let uses = "dynamo-metrics.workspace = true\ntracing.workspace = true\n";
        for name in members {
            let package = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [dependencies]\n{uses}"
            );
            write(&folder.join(name).join("Cargo.toml"), &package)?;
            write(&folder.join(name).join("src/lib.rs"), "")?;
        }
        let mut workspace = Self { folder, times: 0 };
        // What they depend on is not to be measured.
        for of in crates {
            workspace.compile(of)?;
        }
        Ok(workspace)
    }

    /// Milliseconds that it takes to compile the crate, with what it depends on compiled.
    fn compile(&mut self, (name, attribute): (&str, &str)) -> anyhow::Result<f64> {
        self.times += 1;
        let source = source(attribute, self.times);
        write(&self.folder.join(name).join("src/lib.rs"), &source)?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let start = Instant::now();
        let output = Command::new(cargo)
            .current_dir(&self.folder)
            .args(["build", "--offline", "--package", name, "--target-dir", "target"])
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_INCREMENTAL", "0")
            .output()
            .context("cannot start cargo")?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} does not compile: {said}");
        Ok(took)
    }
}

fn manifest(root: &Path, members: &[&str]) -> String {
    let core = root.join("dynamo-metrics");
    format!(
        "[workspace]\nresolver = \"3\"\nmembers = {members:?}\n\n[workspace.dependencies]\n\
         dynamo-metrics = {{ path = \"{}\", default-features = false }}\ntracing = \"0.1\"\n",
        core.display()
    )
}

/// So many functions, each of its own name, with an attribute.
fn source(attribute: &str, times: usize) -> String {
    let mut source = format!("//! Compiled for the {times}th time.\n");
    for i in 0..FUNCTIONS {
        let _ = writeln!(
            source,
            "{attribute}\npub async fn f{i}(a: u64, text: &str) -> Result<u64, \
             std::num::ParseIntError> {{\n    let b: u64 = text.parse()?;\n    if b > a {{\n        \
             return Ok(b - a);\n    }}\n    std::future::ready(Ok(a + b)).await\n}}\n"
        );
    }
    source
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
