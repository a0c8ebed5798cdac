//! What the tests need and the machine may lack: Prometheus, VictoriaMetrics, Python packages.
//!
//! All go into `target/`: Debian's packages are unpacked there and not installed, so that no server
//! starts with them, and Python gets an environment of its own. Only the module that makes one is
//! installed, where Debian left it out.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A package of Debian's, and the programs of it that the tests start.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
    /// The oldest version that will do.
    since: &'static str,
}

const PACKAGES: [Package; 2] = [
    Package { name: "prometheus", programs: &["prometheus", "promtool"], since: "2.42" },
    Package { name: "victoria-metrics", programs: &["victoria-metrics"], since: "1.79" },
];

/// Fetches what is not there yet.
pub(crate) fn fetch(root: &Path) -> anyhow::Result<()> {
    println!("==> tools");
    for package in &PACKAGES {
        unpack(root, package)?;
    }
    python(root)
}

fn unpack(root: &Path, package: &Package) -> anyhow::Result<()> {
    let Package { name, programs, since } = package;
    let folder = root.join("target/tools");
    let here = programs.iter().all(|tool| runs(tool) || runs(folder.join("usr/bin").join(tool)));
    if here {
        return Ok(());
    }
    let download = folder.join("download").join(name);
    fs::create_dir_all(&download).with_context(|| format!("cannot make {}", download.display()))?;
    let fetch = || output(Command::new("apt-get").args(["download", name]).current_dir(&download));
    // A machine that never asked for packages does not know where they are.
    let fetched = fetch()
        .or_else(|_| output(Command::new("apt-get").args(["update", "-q"])).and_then(|()| fetch()));
    let unpacked = fetched.and_then(|()| {
        let file = fs::read_dir(&download)?
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("apt-get left no package")?;
        output(Command::new("dpkg").arg("-x").arg(file).arg(&folder))
    });
    unpacked.with_context(|| {
        format!(
            "the tests need {}, {since} or later, and could not fetch it: install Debian's \
             package `{name}`, or put its programs on the PATH",
            programs.join(" and ")
        )
    })
}

fn python(root: &Path) -> anyhow::Result<()> {
    let wanted = root.join("tests/python/requirements.txt");
    let wanted_text =
        fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    let folder = root.join("target/venv");
    let stamp = folder.join("requirements.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted_text) {
        return Ok(());
    }
    let make = || output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
    // Debian keeps this module of Python's in a package of its own.
    make()
        .or_else(|_| {
            output(Command::new("apt-get").args(["install", "-y", "-q", "python3-venv"]))?;
            make()
        })
        .context(
            "the tests need Python 3 with its module venv: install Debian's packages `python3` \
             and `python3-venv`",
        )?;
    let pip = folder.join("bin/pip");
    output(
        Command::new(pip)
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&wanted),
    )
    .with_context(|| format!("the tests need the Python packages of {}", wanted.display()))?;
    fs::write(&stamp, wanted_text).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Whether a program is there and starts.
fn runs(program: impl AsRef<std::ffi::OsStr>) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a command to its end; what it said is told only if it failed.
fn output(command: &mut Command) -> anyhow::Result<()> {
    println!("    {command:?}");
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed ({}): {}", output.status, said.trim());
    }
    Ok(())
}
