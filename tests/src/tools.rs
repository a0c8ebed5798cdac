//! Programs that the stories need and a machine may lack. `cargo xtask test` fetches them; a story
//! without one fails, and says so.

use std::path::PathBuf;
use std::process::Command;

/// The program `name` of Debian's package `package`, both among those that are fetched.
///
/// # Panics
/// If it is neither among the fetched tools nor on the path.
#[must_use]
pub fn tool(package: &str, name: &str) -> PathBuf {
    let fetched = target().join("tools/usr/bin").join(name);
    if fetched.exists() {
        return fetched;
    }
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.exists())
    });
    found.unwrap_or_else(|| {
        panic!("{name} is not here: `cargo xtask test` fetches it, or install Debian's {package}")
    })
}

/// Python with the packages of `python/requirements.txt`, about to run one of our scripts.
///
/// # Panics
/// If its environment was not made.
#[must_use]
pub fn python(script: &str) -> Command {
    let mut command = python_itself();
    command.arg(workspace().join("tests/python").join(script));
    command
}

/// The same, about to run what it is told to.
///
/// # Panics
/// If its environment was not made.
#[must_use]
pub fn python_itself() -> Command {
    let python = target().join("venv/bin/python");
    assert!(
        python.exists(),
        "Python's environment is not here: `cargo xtask test` makes it in target/venv"
    );
    Command::new(python)
}

/// The program `name` of the workspace, built if need be.
///
/// # Panics
/// If it cannot be built.
#[must_use]
pub fn workspace_program(name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--bin", name, "--message-format", "json-render-diagnostics"])
        .output()
        .unwrap_or_else(|error| panic!("cannot start cargo: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = output.stdout.split(|&byte| byte == b'\n').find_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let ours = message["target"]["name"] == name;
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    built.unwrap_or_else(|| panic!("cargo built no {name}"))
}

/// The workspace's folder.
#[must_use]
pub fn workspace() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where fetched tools lie, whatever folder the build goes to.
fn target() -> PathBuf {
    workspace().join("target")
}
