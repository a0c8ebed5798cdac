//! Reading what the process uses, from what each system has.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::path::Path;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::sync::OnceLock;

use super::Usage;
use crate::collect::error::CollectError;
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::collect::files::{line, number, read};

/// What can be found out, and why the rest cannot.
pub(super) fn usage() -> (Usage, Result<(), CollectError>) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut usage = of_any_unix();
        let result = of_linux(&mut usage);
        (usage, result)
    }
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    {
        (Usage { descriptors: entries("/dev/fd"), ..of_any_unix() }, Ok(()))
    }
    #[cfg(not(unix))]
    {
        (Usage::default(), Ok(()))
    }
}

#[cfg(unix)]
fn of_any_unix() -> Usage {
    use rustix::process::{Resource, getrlimit};
    use rustix::time::{ClockId, clock_gettime};

    // What is not limited is as much as a limit can say, as Prometheus's own clients have it.
    let limit = |resource| getrlimit(resource).current.unwrap_or(u64::MAX) as f64;
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Usage {
        cpu: Some(spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9),
        most_address_space: Some(limit(Resource::As)),
        most_descriptors: Some(limit(Resource::Nofile)),
        ..Usage::default()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_linux(usage: &mut Usage) -> Result<(), CollectError> {
    usage.descriptors = descriptors();
    let path = Path::new("/proc/self/stat");
    let text = read(path)?;
    let stat = Stat::parse(&text);
    let missing = |wanted| CollectError::Missing { path: path.to_owned(), wanted };
    let stat = stat.ok_or_else(|| missing("num_threads, starttime, vsize, rss"))?;
    usage.threads = Some(stat.threads);
    usage.address_space = Some(stat.address_space);
    usage.resident = Some(stat.resident_pages * rustix::param::page_size() as f64);
    let since_boot = stat.started_ticks / rustix::param::clock_ticks_per_second() as f64;
    usage.started = Some(boot_time()? + since_boot);
    Ok(())
}

/// How many descriptors are open, without the one that counts them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn descriptors() -> Option<f64> {
    // Since Linux 6.2 the size of the folder says so; before, it was 0.
    let told = std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if told > 0 { Some(told as f64) } else { entries("/proc/self/fd") }
}

/// How many descriptors a folder lists, without its own.
#[cfg(unix)]
fn entries(folder: &str) -> Option<f64> {
    let entries = std::fs::read_dir(folder).ok()?;
    Some(entries.count().saturating_sub(1) as f64)
}

/// When the system started, since 1970. It is read once: the line stands behind a long one, and
/// follows when the system's time is set, which would let the process start anew.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_time() -> Result<f64, CollectError> {
    static KNOWN: OnceLock<f64> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(*known);
    }
    let path = Path::new("/proc/stat");
    let text = read(path)?;
    let told = line(&text, "btime").and_then(number);
    let told =
        told.ok_or_else(|| CollectError::Missing { path: path.to_owned(), wanted: "btime" })?;
    Ok(*KNOWN.get_or_init(|| told))
}

/// What `/proc/self/stat` says.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug, Clone, PartialEq)]
struct Stat {
    threads: f64,
    /// After the start of the system.
    started_ticks: f64,
    /// In bytes.
    address_space: f64,
    resident_pages: f64,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in parentheses, and may have any character.
        let (_, text) = text.rsplit_once(')')?;
        let fields: Vec<&str> = text.split_ascii_whitespace().take(22).collect();
        // The first of these is the third of all.
        let field = |number_of_all: usize| number(fields.get(number_of_all - 3)?);
        Some(Self {
            threads: field(20)?,
            started_ticks: field(22)?,
            address_space: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_what_it_likes() {
        let rest = "S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 5 0 700 8192 3 99";
        let wanted =
            Stat { threads: 5.0, started_ticks: 700.0, address_space: 8192.0, resident_pages: 3.0 };
        for name in ["cat", "a b", ") S 1 2", "((", "\n"] {
            assert_eq!(Stat::parse(&format!("12 ({name}) {rest}\n")), Some(wanted.clone()));
        }
    }

    #[test]
    fn what_is_cut_or_garbled_is_nothing() {
        for text in
            ["", ")", "1 (a) S", "1 (a) S -1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 x 18 19 20 21"]
        {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }
}
