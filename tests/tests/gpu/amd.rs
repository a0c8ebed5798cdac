//! What is shown of AMD's GPUs.

use dynamo_metrics::collect::gpu::Missing;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden::check;
use dynamo_metrics_tests::page::Page;

use crate::machine::{Machine, until};

/// Writes what amdgpu has of a card of a data centre.
fn install(machine: &Machine, card: &str, unique_id: &str) {
    let mut metrics = vec![0_u8; 120];
    metrics[..4].copy_from_slice(&[120, 0, 1, 3]);
    // 2000 J, in units of 2^-16.
    metrics[24..32].copy_from_slice(&(2000_u64 << 16).to_le_bytes());
    machine.file(&format!("class/drm/{card}/device/gpu_metrics"), metrics);
    for (name, text) in [
        ("device", "0x740f"),
        ("unique_id", unique_id),
        ("product_name", "AMD Instinct MI210"),
        ("serial_number", "692227001234"),
        ("vbios_version", "113-D67301-059"),
        ("uevent", "DRIVER=amdgpu\nPCI_CLASS=38000\nPCI_SLOT_NAME=0000:83:00.0"),
        ("gpu_busy_percent", "64"),
        ("mem_busy_percent", "31"),
        ("mem_info_vram_total", "68702699520"),
        ("mem_info_vram_used", "11811160064"),
        ("pcie_replay_count", "4"),
        ("current_link_speed", "16.0 GT/s PCIe"),
        ("current_link_width", "16"),
        ("pp_dpm_sclk", "0: 500Mhz\n1: 800Mhz\n2: 1700Mhz *"),
        ("pp_dpm_mclk", "0: 400Mhz\n1: 1600Mhz *"),
        ("ras/umc_err_count", "ue: 1\nce: 12"),
        ("hwmon/hwmon5/temp1_label", "edge"),
        ("hwmon/hwmon5/temp1_input", "47000"),
        ("hwmon/hwmon5/temp2_label", "junction"),
        ("hwmon/hwmon5/temp2_input", "55000"),
        ("hwmon/hwmon5/temp3_label", "mem"),
        ("hwmon/hwmon5/temp3_input", "61500"),
        ("hwmon/hwmon5/power1_average", "187000000"),
        ("hwmon/hwmon5/power1_cap", "300000000"),
        ("hwmon/hwmon5/freq1_input", "1650000000"),
        ("hwmon/hwmon5/freq2_input", "1600000000"),
        // Last, since it is looked for all the while.
        ("vendor", "0x1002"),
    ] {
        machine.file(&format!("class/drm/{card}/device/{name}"), format!("{text}\n"));
    }
}

fn up(page: &Page, gpu: &str) -> Option<f64> {
    page.sum("gpu_up", &[("gpu", gpu)])
}

#[test]
fn a_card_is_exposed_to_the_letter() {
    let (machine, registry) = (Machine::new("amd"), Registry::new());
    install(&machine, "card1", "7a1b2c3d4e5f6071");
    // The graphics of the board's own, and a connector.
    machine.file("class/drm/card0/device/vendor", "0x1a03\n");
    machine.file("class/drm/card1-DP-1/device/vendor", "0x1002\n");
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    until(&registry, "the card is up", |page| up(page, "0") == Some(1.0));
    check("gpu_amd.txt", &encode::text(&registry));
    drop(gpus);
}

#[test]
fn files_that_are_missing_or_odd_have_no_series() {
    let (machine, registry) = (Machine::new("amd-odd"), Registry::new());
    install(&machine, "card0", "1");
    for name in ["mem_busy_percent", "hwmon/hwmon5/temp3_input", "hwmon/hwmon5/power1_average"] {
        machine.remove(&format!("class/drm/card0/device/{name}"));
    }
    machine.file("class/drm/card0/device/gpu_busy_percent", "busy\n");
    machine.file("class/drm/card0/device/pcie_replay_count", [0xFF, 0xFE]);
    machine.file("class/drm/card0/device/gpu_metrics", [120, 0, 9, 9]);
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let page = until(&registry, "the card is up", |page| up(page, "0") == Some(1.0));
    for name in [
        "gpu_memory_busy_ratio",
        "gpu_memory_temperature_celsius",
        "gpu_power_watts",
        "gpu_utilization_ratio",
        "gpu_pcie_replays_total",
        "gpu_energy_joules_total",
    ] {
        assert_eq!(page.sum(name, &[]), None, "{name}");
    }
    assert_eq!(page.sum("gpu_temperature_celsius", &[]), Some(47.0));

    // Newer drivers say what the power is at the moment.
    machine.file("class/drm/card0/device/hwmon/hwmon5/power1_input", "99000000\n");
    until(&registry, "the power is shown", |page| page.sum("gpu_power_watts", &[]) == Some(99.0));
    drop(gpus);
}

#[test]
fn a_card_that_goes_costs_its_own_series_and_comes_back() {
    let (machine, registry) = (Machine::new("amd-gone"), Registry::new());
    install(&machine, "card0", "1");
    install(&machine, "card1", "2");
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let both = |page: &Page| (up(page, "0"), up(page, "1")) == (Some(1.0), Some(1.0));
    until(&registry, "both cards are up", both);
    machine.remove("class/drm/card1");
    let lost = [("source", "amdgpu"), ("reason", "gpu_lost")];
    let page = until(&registry, "the second is down", |page| {
        up(page, "1") == Some(0.0)
            && page.sum("dynamo_metrics_collect_errors_total", &lost) == Some(1.0)
    });
    assert_eq!(page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "0")]), Some(64.0));
    assert_eq!(page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "1")]), None);
    install(&machine, "card1", "2");
    until(&registry, "both cards are up again", both);
    drop(gpus);
}

#[test]
fn a_card_that_comes_later_is_found_whatever_its_place() {
    let (machine, registry) = (Machine::new("amd-later"), Registry::new());
    install(&machine, "card1", "1");
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let is_up = |page: &Page, uuid: &str, gpu: &str| {
        page.sum("gpu_up", &[("uuid", uuid), ("gpu", gpu)]) == Some(1.0)
    };
    until(&registry, "the first card is up", |page| is_up(page, "GPU-1", "0"));
    install(&machine, "card0", "2");
    until(&registry, "both cards are up", |page| {
        is_up(page, "GPU-1", "0") && is_up(page, "GPU-2", "1")
    });
    machine.remove("class/drm/card1");
    until(&registry, "one is down", |page| up(page, "0") == Some(0.0));
    install(&machine, "card3", "3");
    until(&registry, "another one is up", |page| {
        is_up(page, "GPU-2", "1") && is_up(page, "GPU-3", "2")
    });
    drop(gpus);
}

#[test]
fn a_card_without_a_number_of_its_own_is_told_by_its_place() {
    let (machine, registry) = (Machine::new("amd-place"), Registry::new());
    install(&machine, "card0", "1");
    for name in ["unique_id", "product_name"] {
        machine.remove(&format!("class/drm/card0/device/{name}"));
    }
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let page = until(&registry, "the card is up", |page| up(page, "0") == Some(1.0));
    let told = [("uuid", "GPU-0000:83:00.0"), ("model", "AMD 0x740f"), ("vendor", "amd")];
    assert_eq!(page.sum("gpu_info", &told), Some(1.0));
    drop(gpus);
}

#[test]
fn sensors_that_are_numbered_anew_are_found() {
    let (machine, registry) = (Machine::new("amd-sensors"), Registry::new());
    install(&machine, "card0", "1");
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let power = |page: &Page| page.sum("gpu_power_watts", &[]);
    until(&registry, "the power is shown", |page| power(page) == Some(187.0));
    machine.remove("class/drm/card0/device/hwmon/hwmon5");
    until(&registry, "it is not", |page| power(page).is_none());
    machine.file("class/drm/card0/device/hwmon/hwmon7/power1_average", "55000000\n");
    until(&registry, "it is shown again", |page| power(page) == Some(55.0));
    drop(gpus);
}

#[test]
fn values_that_no_card_can_have_have_no_series() {
    let (machine, registry) = (Machine::new("amd-beyond"), Registry::new());
    install(&machine, "card0", "1");
    machine.file("class/drm/card0/device/gpu_busy_percent", "65535\n");
    machine.file("class/drm/card0/device/hwmon/hwmon5/temp3_input", "65535000\n");
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    let page = until(&registry, "the card is up", |page| up(page, "0") == Some(1.0));
    for name in ["gpu_utilization_ratio", "DCGM_FI_DEV_GPU_UTIL", "gpu_memory_temperature_celsius"]
    {
        assert_eq!(page.sum(name, &[]), None, "{name}");
    }
    assert_eq!(page.sum("gpu_memory_busy_ratio", &[]), Some(0.31));
    drop(gpus);
}
