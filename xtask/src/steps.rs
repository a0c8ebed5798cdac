//! The steps of each task; those of `test` in the order in which they are cheapest to fail.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::tools;

pub(crate) fn test(root: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    step("format", &mut cargo(root, &["fmt", "--all", "--check"]))?;
    tools::fetch(root)?;
    step(
        "lint",
        &mut cargo(root, &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    // Each crate must also build with the features that it asks for itself, and no others'.
    for alone in [
        &["-p", "dynamo-metrics"][..],
        &["-p", "dynamo-metrics", "--no-default-features"],
        &["-p", "dynamo-metrics", "--no-default-features", "--features", "prometheus-client"],
        &["-p", "dynamo-metrics", "--no-default-features", "--features", "gpu"],
        &["-p", "dynamo-metrics", "--no-default-features", "--features", "allocator,host,tokio"],
        &["-p", "dynamo-metrics-macros"],
        &["-p", "dynamo-metrics-tower"],
    ] {
        let arguments = [&["clippy"][..], alone, &["--", "-D", "warnings"]].concat();
        step(&format!("lint {}", alone[1..].join(" ")), &mut cargo(root, &arguments))?;
    }
    step(
        "documentation",
        cargo(root, &["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    // The stories start these programs; built here, no test's time goes into it.
    step("programs", &mut cargo(root, &["build", "-p", "dynamo-metrics-examples", "--bins"]))?;
    if has_nextest(root) {
        step("tests", &mut cargo(root, &["nextest", "run", "--no-fail-fast"]))?;
    } else {
        println!("cargo-nextest is not here; cargo test does the same, a little slower");
        let all = ["test", "--lib", "--bins", "--tests", "--no-fail-fast"];
        step("tests", &mut cargo(root, &all))?;
    }
    // In a folder of its own, since the flag would have everything built anew.
    step(
        "orderings",
        cargo(root, &["test", "-p", "dynamo-metrics", "--no-default-features", "--lib"])
            .args(["--target-dir", "target/loom", "--", "cell::model", "registry::model"])
            .env("RUSTFLAGS", "--cfg dynamo_metrics_loom"),
    )?;
    step("documentation's examples", &mut cargo(root, &["test", "--doc"]))?;
    println!("all passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Compares what is measured of the GPUs of this machine with what their own tool says.
pub(crate) fn gpu(root: &Path) -> anyhow::Result<()> {
    let found = Command::new("nvidia-smi").arg("-L").output();
    let said = found.context("there is no GPU of NVIDIA's here, or no driver: no nvidia-smi")?;
    let gpus = String::from_utf8_lossy(&said.stdout);
    if !said.status.success() || !gpus.contains("GPU ") {
        let errors = String::from_utf8_lossy(&said.stderr);
        bail!("there is no GPU here: nvidia-smi says: {} {}", gpus.trim(), errors.trim());
    }
    print!("{gpus}");
    let stories = ["test", "-p", "dynamo-metrics-tests", "--test", "gpu", "--"];
    let all = ["--include-ignored", "--test-threads", "1"];
    step("GPU", &mut cargo(root, &[&stories[..], &all].concat()))
}

/// Writes the pages of metrics, or checks them: the test that holds them to the sets does both.
pub(crate) fn docs(root: &Path, golden: &str) -> anyhow::Result<()> {
    let pages = ["markdown::", "json::"];
    let test = ["test", "-p", "dynamo-metrics-tests", "--test", "catalogue", "--"];
    step("docs", cargo(root, &[&test[..], &pages].concat()).env("GOLDEN", golden))
}

/// Builds the programs that measure, with the peers, and runs the one that starts the other.
pub(crate) fn bench(root: &Path, options: &[&str]) -> anyhow::Result<()> {
    // Nobody else takes part in a soak.
    let peers = if options.contains(&"--soak") { "" } else { "peers" };
    let package = ["--profile", "bench", "-p", "dynamo-metrics-benches", "--features", peers];
    step("build", &mut cargo(root, &[&["build", "--bins"], &package[..]].concat()))?;
    let run = [&["run", "--bin", "dynamo-metrics-bench"], &package[..], &["--"], options].concat();
    step("bench", &mut cargo(root, &run))
}

pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(arguments);
    command
}

pub(crate) fn step(name: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("==> {name}");
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("{name}: {command:?} failed ({status})");
    }
    Ok(())
}

fn has_nextest(root: &Path) -> bool {
    let mut ask = cargo(root, &["nextest", "--version"]);
    ask.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
