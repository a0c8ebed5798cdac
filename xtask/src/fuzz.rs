//! Fuzzing, with the one stable toolchain.
//!
//! libFuzzer needs to be told which branches an input took. The compiler's pass for that, which
//! `cargo fuzz` asks for as well, is there in stable Rust; only sanitizers are not. What is looked
//! for here are panics and broken promises, not memory errors: there is no `unsafe` to make them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::steps::{cargo, step};

/// Programs, each with the folder of its seeds.
const TARGETS: [&str; 5] =
    ["foreign_text", "foreign_openmetrics", "foreign_protobuf", "exporter_request", "streams"];

/// Seconds for each target, if nothing else is asked for.
const SECONDS: &str = "60";

/// What makes a program tell libFuzzer where it went and what it compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
                     -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                     -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds the targets and runs each for a time; what they found stays in `fuzz/corpus`, and what
/// broke them in `fuzz/artifacts`.
pub(crate) fn fuzz(root: &Path, options: &[&str]) -> anyhow::Result<()> {
    let seconds = match options {
        [] => SECONDS,
        [seconds] => seconds,
        _ => bail!("one number of seconds is enough"),
    };
    let seconds: u32 = seconds.parse().with_context(|| format!("{seconds} is no time"))?;
    let folder = root.join("fuzz");
    let host = host(root)?;
    let built = root.join("target/fuzz");
    // With a target named, build scripts and macros are built without the flags.
    let arguments = ["build", "--release", "--bins", "--target", &host, "--target-dir"];
    step("build", cargo(&folder, &arguments).arg(&built).env("RUSTFLAGS", FLAGS))?;
    for target in TARGETS {
        let (corpus, artifacts) = (folder.join("corpus").join(target), folder.join("artifacts"));
        for folder in [&corpus, &artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let program = built.join(&host).join("release").join(target);
        let mut command = Command::new(program);
        command
            .current_dir(&folder)
            .args([&corpus, &folder.join("seeds").join(target)])
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/{target}-", artifacts.display()))
            .args(["-max_len=4096", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"]);
        if target != "foreign_protobuf" {
            command.arg("-dict=words.dict");
        }
        step(target, &mut command)?;
    }
    Ok(())
}

/// The name of the system that this is, as the compiler has it.
fn host(root: &Path) -> anyhow::Result<String> {
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(compiler)
        .current_dir(root)
        .arg("-vV")
        .output()
        .context("cannot start rustc")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say what system this is")
}
