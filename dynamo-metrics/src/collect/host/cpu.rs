//! What processors do.

use std::collections::HashMap;
use std::sync::Arc;

use super::devices::Devices;
use super::{PREFIX, Part, Tree};
use crate::collect::error::CollectError;
use crate::collect::files::{line, number};
use crate::collect::told::{One, tell, tell_of};
use crate::metric::{FloatGauge, Total};
use crate::registry::{DynamicFamily, MetricSet};

const STAT: &str = "proc/stat";

/// Most processors that are shown.
const MOST: usize = 1_024;

/// What a processor may do, in the kernel's order.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// Where `idle` is among them.
const IDLE: usize = 3;

/// How many seconds of idleness a processor takes back only when it begins anew, as `node_exporter`
/// has it.
const ANEW: f64 = 3.0;

/// Seconds that a processor spent, by mode.
type Times = [Option<f64>; MODES.len()];

/// Processors, and what runs on them.
///
/// # Source
/// `/proc/stat`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostCpu", fixed_prefix = PREFIX)]
pub(super) struct CpuSet {
    /// Time that processors spent, by what they did.
    #[metric(unit = seconds, labels(cpu, mode), series_cap = (2 * MOST * MODES.len()) as u64)]
    cpu_seconds_total: DynamicFamily<Total, 2>,
    /// Times that a processor went from one thread to another.
    context_switches_total: One<Total>,
    /// Interrupts that were served.
    intr_total: One<Total>,
    /// Processes and threads that were made.
    forks_total: One<Total>,
    /// Threads that run or could.
    procs_running: One<FloatGauge>,
    /// Threads that wait for input or output.
    procs_blocked: One<FloatGauge>,
    /// When the system started, since 1970.
    #[metric(unit = seconds)]
    boot_time_seconds: One<FloatGauge>,
}

pub(super) struct Cpu {
    set: Arc<CpuSet>,
    devices: Devices<String>,
    /// What is shown of each.
    shown: HashMap<String, Times>,
    ticks_per_second: f64,
}

impl Cpu {
    pub(super) fn new(set: Arc<CpuSet>) -> Self {
        #[cfg(unix)]
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        #[cfg(not(unix))]
        let ticks_per_second = 100.0;
        let devices = Devices::new("processors", MOST);
        Self { set, devices, shown: HashMap::new(), ticks_per_second }
    }

    fn read_processors(&mut self, text: &str) {
        for line in text.lines() {
            let Some((cpu, times)) = line.split_once(' ') else { continue };
            // Without a number it is the line of all of them together.
            let cpu = cpu.strip_prefix("cpu").filter(|cpu| cpu.parse::<u32>().is_ok());
            let Some(cpu) = cpu else { continue };
            let mut times = times.split_ascii_whitespace().map(number);
            let ticks: Times = std::array::from_fn(|_| times.next().flatten());
            let times = ticks.map(|ticks| ticks.map(|ticks| ticks / self.ticks_per_second));
            if times.iter().all(Option::is_none) || !self.devices.admit(cpu) {
                continue;
            }
            let shown = self.shown.entry(cpu.to_owned()).or_default();
            *shown = after(shown, &times);
            for (mode, seconds) in MODES.into_iter().zip(*shown) {
                tell_of(&self.set.cpu_seconds_total, [cpu, mode], seconds);
            }
        }
    }
}

impl Part for Cpu {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError> {
        let (text, result) = match tree.read(STAT) {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        self.devices.begin();
        self.read_processors(&text);
        let is_none_shown = self.devices.is_none_shown();
        let set = &self.set;
        let ended = self.devices.end(|cpu| {
            self.shown.remove(cpu);
            for mode in MODES {
                set.cpu_seconds_total.remove([cpu, mode]);
            }
        });
        let first = |key| {
            let rest = line(&text, key)?;
            number(rest.split_ascii_whitespace().next()?)
        };
        tell(&set.context_switches_total, first("ctxt"));
        tell(&set.intr_total, first("intr"));
        tell(&set.forks_total, first("processes"));
        tell(&set.procs_running, first("procs_running"));
        tell(&set.procs_blocked, first("procs_blocked"));
        tell(&set.boot_time_seconds, first("btime"));
        result?;
        ended?;
        if is_none_shown { Err(tree.missing(STAT, "cpu0")) } else { Ok(()) }
    }
}

/// What to show after `shown`, now that the kernel says `told`. It estimates who is idle and who waits,
/// and takes a little of that back at times, which would read as a counter that began anew.
fn after(shown: &Times, told: &Times) -> Times {
    if let (Some(then), Some(now)) = (shown[IDLE], told[IDLE])
        && then - now >= ANEW
    {
        return *told;
    }
    std::array::from_fn(|mode| told[mode].map(|now| shown[mode].map_or(now, |then| then.max(now))))
}
