//! What the machine is, and how hard it works.

use std::sync::Arc;

use super::{PREFIX, Part, Tree};
use crate::collect::error::CollectError;
use crate::collect::files::{line, number};
use crate::collect::told::{One, tell};
use crate::metric::{FloatGauge, Info, Total};
use crate::registry::{DynamicFamily, MetricSet};

const LOADAVG: &str = "proc/loadavg";

/// Where the kernel's names for itself are.
const KERNEL: &str = "proc/sys/kernel";

/// The machine as a whole.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostMachine", fixed_prefix = PREFIX)]
pub(super) struct MachineSet {
    /// Threads that run or could, or wait for a disk, on average over a minute.
    ///
    /// # Source
    /// `/proc/loadavg`.
    load1: One<FloatGauge>,
    /// Threads that run or could, or wait for a disk, on average over five minutes.
    ///
    /// # Source
    /// `/proc/loadavg`.
    load5: One<FloatGauge>,
    /// Threads that run or could, or wait for a disk, on average over fifteen minutes.
    ///
    /// # Source
    /// `/proc/loadavg`.
    load15: One<FloatGauge>,
    /// File descriptors that are open in the whole system.
    ///
    /// # Source
    /// `/proc/sys/fs/file-nr`.
    filefd_allocated: One<FloatGauge>,
    /// Most file descriptors that may be open in the whole system.
    ///
    /// # Source
    /// `/proc/sys/fs/file-nr`.
    filefd_maximum: One<FloatGauge>,
    /// Time in which something waited for a processor.
    ///
    /// # Source
    /// `/proc/pressure/cpu`.
    #[metric(unit = seconds)]
    pressure_cpu_waiting_seconds_total: One<Total>,
    /// Time in which something waited for input or output.
    ///
    /// # Source
    /// `/proc/pressure/io`.
    #[metric(unit = seconds)]
    pressure_io_waiting_seconds_total: One<Total>,
    /// Time in which all that could run waited for input or output.
    ///
    /// # Source
    /// `/proc/pressure/io`.
    #[metric(unit = seconds)]
    pressure_io_stalled_seconds_total: One<Total>,
    /// Time in which something waited for memory.
    ///
    /// # Source
    /// `/proc/pressure/memory`.
    #[metric(unit = seconds)]
    pressure_memory_waiting_seconds_total: One<Total>,
    /// Time in which all that could run waited for memory.
    ///
    /// # Source
    /// `/proc/pressure/memory`.
    #[metric(unit = seconds)]
    pressure_memory_stalled_seconds_total: One<Total>,
    /// What the system calls itself.
    ///
    /// # Source
    /// `/proc/sys/kernel`, once.
    #[metric(labels(sysname, release, version, machine, nodename, domainname))]
    uname_info: DynamicFamily<Info, 6>,
}

pub(super) struct Machine {
    set: Arc<MachineSet>,
    is_named: bool,
}

impl Machine {
    pub(super) fn new(set: Arc<MachineSet>) -> Self {
        Self { set, is_named: false }
    }

    fn read_load(&self, tree: &Tree) -> Result<(), CollectError> {
        let (text, result) = match tree.read(LOADAVG) {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        let mut loads = text
            .split_ascii_whitespace()
            .map(|load| load.parse::<f64>().ok().filter(|load| load.is_finite() && *load >= 0.0));
        let loads: [Option<f64>; 3] = std::array::from_fn(|_| loads.next().flatten());
        for (gauge, load) in
            [&self.set.load1, &self.set.load5, &self.set.load15].into_iter().zip(loads)
        {
            tell(gauge, load);
        }
        result?;
        let all = loads.iter().all(Option::is_some);
        if all { Ok(()) } else { Err(tree.missing(LOADAVG, "load of 1, 5 and 15 minutes")) }
    }

    fn read_files(&self, tree: &Tree) {
        let text = tree.read("proc/sys/fs/file-nr").unwrap_or_default();
        let fields: Vec<_> = text.split_ascii_whitespace().map(number).collect();
        let at = |i: usize| fields.get(i).copied().flatten();
        tell(&self.set.filefd_allocated, at(0));
        tell(&self.set.filefd_maximum, at(2));
    }

    /// Not every kernel tells of pressure.
    fn read_pressure(&self, tree: &Tree) {
        let set = &self.set;
        for (file, waiting, stalled) in [
            ("cpu", &set.pressure_cpu_waiting_seconds_total, None),
            (
                "io",
                &set.pressure_io_waiting_seconds_total,
                Some(&set.pressure_io_stalled_seconds_total),
            ),
            (
                "memory",
                &set.pressure_memory_waiting_seconds_total,
                Some(&set.pressure_memory_stalled_seconds_total),
            ),
        ] {
            let text = tree.read(&format!("proc/pressure/{file}")).unwrap_or_default();
            let seconds = |key| {
                let (_, microseconds) = line(&text, key)?.rsplit_once("total=")?;
                number(microseconds).map(|microseconds| microseconds / 1e6)
            };
            tell(waiting, seconds("some"));
            if let Some(stalled) = stalled {
                tell(stalled, seconds("full"));
            }
        }
    }

    /// Once: names stay for as long as the system runs.
    fn read_names(&mut self, tree: &Tree) {
        if self.is_named {
            return;
        }
        let name = |file: &str| {
            let text = tree.read(&format!("{KERNEL}/{file}")).unwrap_or_default();
            text.trim().to_owned()
        };
        let mut names =
            ["ostype", "osrelease", "version", "arch", "hostname", "domainname"].map(name);
        // Older kernels do not say for what machine they are; it is the one of their programs.
        if names[3].is_empty() {
            std::env::consts::ARCH.clone_into(&mut names[3]);
        }
        // Without a system there is nothing that calls itself so.
        if !names[0].is_empty() {
            self.set.uname_info.with_ref(names.each_ref().map(String::as_str), |_| {});
            self.is_named = true;
        }
    }
}

impl Part for Machine {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError> {
        self.read_files(tree);
        self.read_pressure(tree);
        self.read_names(tree);
        self.read_load(tree)
    }
}
