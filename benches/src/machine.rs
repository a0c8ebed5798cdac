//! What the figures were measured on, and with.

use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;
use std::thread::available_parallelism;

/// The lock file says which versions of the peers were built.
const LOCK: &str = include_str!("../../Cargo.lock");

const PEERS: [&str; 14] = [
    "prometheus-client",
    "prometheus",
    "metrics",
    "metrics-exporter-prometheus",
    "measured",
    "fastmetrics",
    "opentelemetry_sdk",
    "opentelemetry-prometheus-text-exporter",
    "foundations-metrics",
    "axum-prometheus",
    "tower-http",
    "tower-otel",
    "autometrics",
    "tracing",
];

/// The machine and the compiler, in a line.
pub(crate) fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpus.lines().find(|line| line.split(':').next().map(str::trim) == Some(name));
        line.and_then(|line| line.split(':').nth(1)).map_or("?", str::trim)
    };
    // A virtual machine may give all processors of a maker one name.
    let (name, family, model) = (field("model name"), field("cpu family"), field("model"));
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let compiler = Command::new("rustc").arg("--version").output();
    let compiler = compiler.map_or_else(|_| Vec::new(), |output| output.stdout);
    let compiler = String::from_utf8_lossy(&compiler);
    format!(
        "{name} (family {family}, model {model}), {cores} cores, kernel {}, {}",
        kernel.trim(),
        compiler.trim()
    )
}

/// The peers and their versions, in a line; none where the program was built without them.
pub(crate) fn peers() -> Option<String> {
    let versions = PEERS.map(|name| format!("{name} {}", version(name).unwrap_or("?")));
    cfg!(feature = "peers").then(|| versions.join(", "))
}

/// The newest version of a package that the lock file has.
fn version(name: &str) -> Option<&'static str> {
    let start = format!("name = \"{name}\"\nversion = \"");
    let (_, rest) = LOCK.rsplit_once(&start)?;
    rest.split('"').next()
}
