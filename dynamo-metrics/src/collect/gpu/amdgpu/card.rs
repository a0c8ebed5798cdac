//! What amdgpu says of one card.

use super::files::Folder;
use crate::collect::gpu::fault::{Fault, Reason};
use crate::collect::gpu::reading::{
    Clock, Depth, Error, Facts, HOTTEST, Lifetime, Memory, Reading, Vendor, percent,
};

/// A card, with the files of its sensors.
#[derive(Debug)]
pub(super) struct Card {
    device: Folder,
    /// None if the driver has no sensors for it, or not yet.
    sensors: Option<Sensors>,
}

#[derive(Debug)]
struct Sensors {
    folder: Folder,
    /// The file of the GPU's temperature.
    temperature: Option<&'static str>,
    memory_temperature: Option<&'static str>,
}

impl Card {
    pub(super) fn new(device: Folder) -> Self {
        let sensors = device.first_within("hwmon").map(Sensors::new);
        Self { device, sensors }
    }

    pub(super) fn facts(&self, index: u32, number: u32) -> Facts {
        let text = |name| self.device.text(name);
        let uevent = text("uevent").unwrap_or_default();
        let slot = uevent.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME="));
        let slot = slot.map(str::to_owned).or_else(|| {
            // The folder is a link to the device's own, which is called by its slot.
            let own = self.device.path().canonicalize().ok()?;
            Some(own.file_name()?.to_str()?.to_owned())
        });
        let slot = slot.unwrap_or_default();
        let model = text("product_name")
            .unwrap_or_else(|| format!("AMD {}", text("device").as_deref().unwrap_or("GPU")));
        Facts {
            vendor: Vendor::Amd,
            index,
            // Not all cards have a number of their own; then their place tells them apart.
            uuid: format!("GPU-{}", text("unique_id").unwrap_or_else(|| slot.clone())),
            model,
            pci_bus_id: slot,
            device: format!("card{number}"),
            serial: text("serial_number").unwrap_or_default(),
            vbios: text("vbios_version").unwrap_or_default(),
            driver: Folder::new(self.device.path().join("driver/module"))
                .text("version")
                .unwrap_or_default(),
        }
    }

    /// Reads what there is.
    ///
    /// # Errors
    /// That the card is gone.
    pub(super) fn read(&mut self, depth: Depth, reading: &mut Reading) -> Result<(), Fault> {
        let device = &self.device;
        let percent = |name| percent(device.number(name)?.try_into().ok()?);
        reading.utilization = percent("gpu_busy_percent");
        reading.memory_utilization = percent("mem_busy_percent");
        reading.memory = self.memory();
        if let Some(sensors) = &self.sensors {
            sensors.read(reading);
        }
        for (clock, name) in [(Clock::Sm, "pp_dpm_sclk"), (Clock::Memory, "pp_dpm_mclk")] {
            let clock = &mut reading.clocks[clock as usize];
            *clock = clock.or_else(|| chosen(&device.text(name)?));
        }
        reading.clocks[Clock::Graphics as usize] = reading.clocks[Clock::Sm as usize];
        reading.answered = reading.utilization.is_some()
            || reading.memory.is_some()
            || reading.temperature.is_some()
            || reading.power.is_some();
        if depth == Depth::Full {
            self.read_slow(reading);
        }
        if !reading.answered && !self.device.is_there() {
            return Err(Fault::new(Reason::Lost, "the card is gone"));
        }
        Ok(())
    }

    fn memory(&self) -> Option<Memory> {
        let total = self.device.number("mem_info_vram_total")?;
        let used = self.device.number("mem_info_vram_used")?;
        Some(Memory { total, used, free: total.saturating_sub(used), reserved: None })
    }

    fn read_slow(&mut self, reading: &mut Reading) {
        let device = &self.device;
        // A driver that was loaded anew numbers them anew.
        if self.sensors.as_ref().is_none_or(|sensors| !sensors.folder.is_there()) {
            self.sensors = device.first_within("hwmon").map(Sensors::new);
        }
        reading.energy = device.bytes("gpu_metrics").and_then(|table| energy(&table));
        reading.pcie.replays = device.number("pcie_replay_count");
        let speed = device.text("current_link_speed");
        reading.pcie.generation = speed.and_then(|speed| generation(&speed));
        let lanes = device.number("current_link_width");
        reading.pcie.lanes = lanes.and_then(|lanes| u32::try_from(lanes).ok());
        let errors = device.text("ras/umc_err_count").unwrap_or_default();
        for (error, name) in [(Error::Corrected, "ce:"), (Error::Uncorrected, "ue:")] {
            let count = errors.lines().find_map(|line| line.trim().strip_prefix(name));
            reading.ecc[error as usize][Lifetime::Volatile as usize] =
                count.and_then(|count| count.trim().parse().ok());
        }
    }
}

impl Sensors {
    fn new(folder: Folder) -> Self {
        let labelled = |label: &str| {
            let files = [
                ("temp1_label", "temp1_input"),
                ("temp2_label", "temp2_input"),
                ("temp3_label", "temp3_input"),
            ];
            let found = files.iter().find(|(name, _)| folder.text(name).as_deref() == Some(label));
            found.map(|(_, input)| *input)
        };
        let temperature = labelled("edge").or_else(|| labelled("junction"));
        // Old drivers have one sensor, and no labels.
        let temperature = temperature.or(Some("temp1_input"));
        let memory_temperature = labelled("mem");
        Self { folder, temperature, memory_temperature }
    }

    fn read(&self, reading: &mut Reading) {
        let folder = &self.folder;
        let celsius = |name: Option<&str>| {
            Some(folder.signed(name?)? as f64 / 1e3).filter(|celsius| *celsius <= HOTTEST)
        };
        reading.temperature = celsius(self.temperature);
        reading.memory_temperature = celsius(self.memory_temperature);
        // Older drivers tell a mean, newer ones what it is at the moment.
        let power = folder.number("power1_average").or_else(|| folder.number("power1_input"));
        reading.power = power.map(|microwatts| microwatts as f64 / 1e6);
        let limit = folder.number("power1_cap");
        reading.power_limit = limit.map(|microwatts| microwatts as f64 / 1e6);
        reading.fan = folder.number("pwm1").map(|share| share as f64 * 100.0 / 255.0);
        reading.clocks[Clock::Sm as usize] = folder.number("freq1_input");
        reading.clocks[Clock::Memory as usize] = folder.number("freq2_input");
    }
}

/// The clock that is chosen, in hertz: of `0: 500Mhz`, `1: 2100Mhz *`, the second.
fn chosen(table: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.trim_end().strip_suffix('*'))?;
    let (_, clock) = line.split_once(':')?;
    let clock = clock.trim().to_ascii_lowercase();
    clock.strip_suffix("mhz")?.trim().parse::<u64>().ok()?.checked_mul(1_000_000)
}

/// The generation of a link, by its speed: `16.0 GT/s PCIe` is the fourth.
fn generation(speed: &str) -> Option<u32> {
    Some(match speed.split_whitespace().next()? {
        "2.5" => 1,
        "5.0" | "5" => 2,
        "8.0" | "8" => 3,
        "16.0" | "16" => 4,
        "32.0" | "32" => 5,
        "64.0" | "64" => 6,
        _ => return None,
    })
}

/// Millijoules, in a table of the kernel's `kgd_pp_interface.h`: its size, format and revision, then
/// what that revision has. Those of discrete cards count energy in 2^-16 J from the second revision on.
fn energy(table: &[u8]) -> Option<u64> {
    let (header, _) = table.split_first_chunk::<4>()?;
    let at = match (header[2], header[3]) {
        (1, 1..=4) => 24,
        (1, 5) => 88,
        _ => return None,
    };
    let units = u64::from_le_bytes(table.get(at..at + 8)?.try_into().ok()?);
    // All bits are set where the firmware does not count.
    (units != u64::MAX)
        .then(|| (u128::from(units) * 1000) >> 16)
        .and_then(|mj| u64::try_from(mj).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_the_one_with_a_star() {
        assert_eq!(chosen("0: 500Mhz \n1: 2100Mhz *\n"), Some(2_100_000_000));
        for wrong in ["", "0: 500Mhz", "*", "1: fast *", "1: 99999999999999999Mhz *"] {
            assert_eq!(chosen(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn speeds_are_generations() {
        assert_eq!(generation("16.0 GT/s PCIe"), Some(4));
        assert_eq!(generation("2.5 GT/s PCIe"), Some(1));
        assert_eq!(generation("Unknown"), None);
        assert_eq!(generation(""), None);
    }

    #[test]
    fn energy_is_where_the_table_of_that_revision_has_it() {
        let table = |format, content, at: usize, units: u64| {
            let mut table = vec![0; 288];
            (table[2], table[3]) = (format, content);
            table[at..at + 8].copy_from_slice(&units.to_le_bytes());
            table
        };
        assert_eq!(energy(&table(1, 3, 24, 5 << 16)), Some(5000));
        assert_eq!(energy(&table(1, 5, 88, 1 << 15)), Some(500));
        assert_eq!(energy(&table(1, 4, 24, u64::MAX)), None);
        assert_eq!(energy(&table(1, 3, 24, u64::MAX - 1)), Some(281_474_976_710_655_999));
        assert_eq!(energy(&table(2, 3, 24, 7)), None);
        assert_eq!(energy(&table(1, 1, 24, 7)[..30]), None);
        assert_eq!(energy(&[1]), None);
    }
}
