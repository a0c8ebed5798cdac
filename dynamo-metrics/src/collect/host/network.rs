//! What networks carry.

use std::sync::Arc;

use super::devices::Devices;
use super::links::Links;
use super::{Part, Tree};
use crate::collect::error::CollectError;
use crate::collect::files::number;
use crate::collect::told::tell_of;
use crate::metric::{FloatGauge, Total};
use crate::registry::{DynamicFamily, MetricSet};

const DEV: &str = "net/dev";

/// Most devices that are shown.
const MOST: usize = 512;

/// Most series of a name, whatever the registry says: those of new devices come before others go.
const MOST_SERIES: u64 = 2 * MOST as u64;

/// Network devices.
///
/// # Source
/// `/proc/net/dev`.
#[derive(Debug, MetricSet)]
#[metric_set(name = "HostNetworks", fixed_prefix = "node_network")]
pub(super) struct NetworkSet {
    /// Bytes received.
    #[metric(labels(device), unit = bytes, series_cap = MOST_SERIES)]
    receive_bytes_total: DynamicFamily<Total, 1>,
    /// Packets received.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    receive_packets_total: DynamicFamily<Total, 1>,
    /// Packets that came damaged.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    receive_errs_total: DynamicFamily<Total, 1>,
    /// Packets that came and were dropped.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    receive_drop_total: DynamicFamily<Total, 1>,
    /// Bytes sent.
    #[metric(labels(device), unit = bytes, series_cap = MOST_SERIES)]
    transmit_bytes_total: DynamicFamily<Total, 1>,
    /// Packets sent.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    transmit_packets_total: DynamicFamily<Total, 1>,
    /// Packets that could not be sent.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    transmit_errs_total: DynamicFamily<Total, 1>,
    /// Packets that were to be sent and were dropped.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    transmit_drop_total: DynamicFamily<Total, 1>,
    /// 1 if the device is up, 0 if not.
    ///
    /// # Source
    /// `/sys/class/net/*/operstate`, every ten seconds at most.
    #[metric(labels(device), series_cap = MOST_SERIES)]
    up: DynamicFamily<FloatGauge, 1>,
    /// How many bytes the device carries in a second, where it knows.
    ///
    /// # Source
    /// `/sys/class/net/*/speed`, every ten seconds at most.
    #[metric(labels(device), unit = bytes, series_cap = MOST_SERIES)]
    speed_bytes: DynamicFamily<FloatGauge, 1>,
}

pub(super) struct Networks {
    set: Arc<NetworkSet>,
    devices: Devices<String>,
    links: Links,
}

impl Networks {
    pub(super) fn new(set: Arc<NetworkSet>, tree: Tree) -> Self {
        let devices = Devices::new("network devices", MOST);
        Self { set, devices, links: Links::new(tree) }
    }

    /// The devices that are shown, and whether every line is one of the kernel's.
    fn read_lines(&mut self, text: &str) -> (Vec<String>, bool) {
        let (mut shown, mut are_valid) = (Vec::new(), true);
        // The first two are titles.
        for line in text.lines().skip(2) {
            let parsed = parse(line);
            let Some((name, values)) = parsed else {
                are_valid = false;
                continue;
            };
            if self.devices.admit(name) {
                self.set.show(name, Some(values));
                shown.push(name.to_owned());
            }
        }
        (shown, are_valid)
    }

    /// Shows what devices say of themselves.
    fn read_links(&mut self, devices: &[String]) -> Result<(), CollectError> {
        let result = self.links.refresh(devices);
        for name in devices {
            let link = self.links.of(name);
            tell_of(&self.set.up, [name], link.up);
            tell_of(&self.set.speed_bytes, [name], link.speed);
        }
        result
    }
}

impl Part for Networks {
    fn read(&mut self, tree: &Tree) -> Result<(), CollectError> {
        let (text, result) = match tree.read_of_process(DEV) {
            Ok(text) => (text, Ok(())),
            Err(error) => (String::new(), Err(error)),
        };
        self.devices.begin();
        let (devices, are_valid) = self.read_lines(&text);
        let links = self.read_links(&devices);
        let ended = self.devices.end(|name| {
            self.set.show(name, None);
            self.set.up.remove([name]);
            self.set.speed_bytes.remove([name]);
        });
        result?;
        ended?;
        links?;
        if are_valid { Ok(()) } else { Err(tree.missing_of_process(DEV, "numbers of a device")) }
    }
}

/// A device, and what it received and sent: bytes, packets, errors, drops, of each.
fn parse(line: &str) -> Option<(&str, [f64; 8])> {
    let (name, values) = line.rsplit_once(':')?;
    let name = name.trim();
    // It is part of a path.
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        return None;
    }
    let values: Option<Vec<f64>> = values.split_ascii_whitespace().map(number).collect();
    let values = values.filter(|values| values.len() >= 12)?;
    Some((name, [0, 1, 2, 3, 8, 9, 10, 11].map(|i| values[i])))
}

impl NetworkSet {
    /// Shows what a device carried, or no longer.
    fn show(&self, name: &str, values: Option<[f64; 8]>) {
        for (i, family) in [
            &self.receive_bytes_total,
            &self.receive_packets_total,
            &self.receive_errs_total,
            &self.receive_drop_total,
            &self.transmit_bytes_total,
            &self.transmit_packets_total,
            &self.transmit_errs_total,
            &self.transmit_drop_total,
        ]
        .into_iter()
        .enumerate()
        {
            tell_of(family, [name], values.map(|values| values[i]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_sixteen_numbers() {
        let numbers = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let wanted = [1.0, 2.0, 3.0, 4.0, 9.0, 10.0, 11.0, 12.0];
        for (line, name) in [("  eth0: ", "eth0"), ("lo:", "lo"), ("eth0:1:", "eth0:1")] {
            assert_eq!(parse(&format!("{line}{numbers}")), Some((name, wanted)));
        }
        for line in
            ["", "eth0", ":1 2", "../x: 1 2 3 4 5 6 7 8 9 10 11 12", "eth0: 1 2 3", "eth0: a"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
