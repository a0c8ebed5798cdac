//! What disks do.

use std::sync::Arc;

use super::devices::Devices;
use super::{Part, Tree};
use crate::collect::error::CollectError;
use crate::collect::files::number;
use crate::collect::told::tell_of;
use crate::metric::{FloatGauge, Total};
use crate::registry::{DynamicFamily, MetricSet};

const DISKSTATS: &str = "proc/diskstats";

/// Most disks that are shown.
const MOST: usize = 256;

/// Most series of a name, whatever the registry says: those of new disks come before others go.
const MOST_SERIES: u64 = 2 * MOST as u64;

/// The kernel's sectors have this size, whatever the disk's have.
const SECTOR: f64 = 512.0;

/// Disks, without their partitions.
///
/// # Source
/// `/proc/diskstats`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostDisks", fixed_prefix = "node_disk")]
pub(super) struct DiskSet {
    /// Reads that ended.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    reads_completed_total: DynamicFamily<Total, 1>,
    /// Reads that became part of others.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    reads_merged_total: DynamicFamily<Total, 1>,
    /// Bytes read.
    #[metric(labels(device), unit = bytes, series_cap = MOST_SERIES)]
    read_bytes_total: DynamicFamily<Total, 1>,
    /// Time that reads took, all of them together.
    #[metric(labels(device), unit = seconds, series_cap = MOST_SERIES)]
    read_time_seconds_total: DynamicFamily<Total, 1>,
    /// Writes that ended.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    writes_completed_total: DynamicFamily<Total, 1>,
    /// Writes that became part of others.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    writes_merged_total: DynamicFamily<Total, 1>,
    /// Bytes written.
    #[metric(labels(device), unit = bytes, series_cap = MOST_SERIES)]
    written_bytes_total: DynamicFamily<Total, 1>,
    /// Time that writes took, all of them together.
    #[metric(labels(device), unit = seconds, series_cap = MOST_SERIES)]
    write_time_seconds_total: DynamicFamily<Total, 1>,
    /// Reads and writes that have not ended.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    io_now: DynamicFamily<FloatGauge, 1>,
    /// Time in which the disk had something to do.
    #[metric(labels(device), unit = seconds, series_cap = MOST_SERIES)]
    io_time_seconds_total: DynamicFamily<Total, 1>,
    /// Time that reads and writes took from when they were asked for, all of them together.
    #[metric(labels(device), unit = seconds, series_cap = MOST_SERIES)]
    io_time_weighted_seconds_total: DynamicFamily<Total, 1>,
}

pub(super) struct Disks {
    set: Arc<DiskSet>,
    devices: Devices<String>,
}

impl Disks {
    pub(super) fn new(set: Arc<DiskSet>) -> Self {
        Self { set, devices: Devices::new("disks", MOST) }
    }

    /// Whether every line is one of the kernel's.
    fn read_lines(&mut self, text: &str) -> bool {
        let mut are_valid = true;
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace().skip(2);
            let Some(name) = fields.next() else { continue };
            let mut fields = fields.map(number);
            let values: [Option<f64>; 11] = std::array::from_fn(|_| fields.next().flatten());
            let Some(values) = whole(values) else {
                are_valid = false;
                continue;
            };
            if is_whole_disk(name) && self.devices.admit(name) {
                self.set.show(name, Some(values));
            }
        }
        are_valid
    }
}

impl Part for Disks {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError> {
        let (text, result) = match tree.read(DISKSTATS) {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        self.devices.begin();
        let are_valid = self.read_lines(&text);
        let ended = self.devices.end(|name| self.set.show(name, None));
        result?;
        ended?;
        if are_valid { Ok(()) } else { Err(tree.missing(DISKSTATS, "numbers of a disk")) }
    }
}

impl DiskSet {
    /// Shows a disk by the kernel's numbers, or no longer.
    fn show(&self, name: &str, values: Option<[f64; 11]>) {
        let at = |i: usize, factor: f64| values.map(|values| values[i] * factor);
        for (family, value) in [
            (&self.reads_completed_total, at(0, 1.0)),
            (&self.reads_merged_total, at(1, 1.0)),
            (&self.read_bytes_total, at(2, SECTOR)),
            (&self.read_time_seconds_total, at(3, 1e-3)),
            (&self.writes_completed_total, at(4, 1.0)),
            (&self.writes_merged_total, at(5, 1.0)),
            (&self.written_bytes_total, at(6, SECTOR)),
            (&self.write_time_seconds_total, at(7, 1e-3)),
            (&self.io_time_seconds_total, at(9, 1e-3)),
            (&self.io_time_weighted_seconds_total, at(10, 1e-3)),
        ] {
            tell_of(family, [name], value);
        }
        tell_of(&self.io_now, [name], at(8, 1.0));
    }
}

/// All values, if none is missing.
fn whole<const N: usize>(values: [Option<f64>; N]) -> Option<[f64; N]> {
    let all = values.iter().all(Option::is_some);
    all.then(|| values.map(Option::unwrap_or_default))
}

/// Whether a device is no partition, and nothing that only looks like a disk: what `node_exporter`
/// leaves out as well.
fn is_whole_disk(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return true;
    }
    let letters = |kind: &str| {
        let rest = stem.strip_prefix(kind);
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase()))
    };
    let is_part = stem.strip_suffix('p').is_some_and(|disk| {
        let disk = disk.strip_prefix("nvme").or(disk.strip_prefix("mmcblk"));
        disk.is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_digit()))
    });
    let is_none = matches!(stem, "ram" | "zram" | "loop" | "fd");
    !(is_none || is_part || ["hd", "sd", "vd", "xvd"].into_iter().any(letters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_what_only_looks_like_a_disk_are_left_out() {
        for disk in
            ["sda", "vdb", "xvda", "nvme0n1", "nvme12n3", "md0", "dm-12", "mmcblk0", "sr0", "nbd3"]
        {
            assert!(is_whole_disk(disk), "{disk}");
        }
        for other in [
            "sda1",
            "sdab12",
            "hdc3",
            "xvda1",
            "nvme0n1p2",
            "mmcblk0p1",
            "loop7",
            "ram0",
            "zram0",
            "fd0",
        ] {
            assert!(!is_whole_disk(other), "{other}");
        }
    }
}
