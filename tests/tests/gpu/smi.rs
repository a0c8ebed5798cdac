//! What is shown of the GPUs of this machine is what `nvidia-smi` says of them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use dynamo_metrics::collect::gpu::GpuCollector;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;

use crate::machine::until;

/// How often both are looked at: what moves must agree once.
const LOOKS: usize = 30;

/// What `nvidia-smi` calls a value, what it is called here, and how far apart both may be: the larger
/// of a share of the value, and a number.
const VALUES: [(&str, &str, f64, f64); 13] = [
    ("memory.total", "DCGM_FI_DEV_FB_TOTAL", 0.0, 1.0),
    ("memory.used", "DCGM_FI_DEV_FB_USED", 0.02, 64.0),
    ("memory.free", "DCGM_FI_DEV_FB_FREE", 0.02, 64.0),
    ("temperature.gpu", "DCGM_FI_DEV_GPU_TEMP", 0.0, 3.0),
    ("temperature.memory", "DCGM_FI_DEV_MEMORY_TEMP", 0.0, 3.0),
    ("power.draw", "DCGM_FI_DEV_POWER_USAGE", 0.1, 5.0),
    ("enforced.power.limit", "DCGM_FI_DEV_POWER_MGMT_LIMIT", 0.0, 0.1),
    ("utilization.gpu", "DCGM_FI_DEV_GPU_UTIL", 0.0, 10.0),
    ("utilization.memory", "DCGM_FI_DEV_MEM_COPY_UTIL", 0.0, 10.0),
    ("clocks.sm", "DCGM_FI_DEV_SM_CLOCK", 0.05, 15.0),
    ("clocks.mem", "DCGM_FI_DEV_MEM_CLOCK", 0.05, 15.0),
    ("pcie.link.width.current", "DCGM_FI_DEV_PCIE_LINK_WIDTH", 0.0, 0.0),
    ("ecc.errors.corrected.volatile.total", "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", 0.0, 0.0),
];

/// Texts, and which label of ours has them.
const TEXTS: [(&str, &str); 5] = [
    ("uuid", "uuid"),
    ("name", "model"),
    ("pci.bus_id", "pci_bus_id"),
    ("driver_version", "driver"),
    ("vbios_version", "vbios"),
];

/// What `nvidia-smi` says of one GPU, by the names of its queries.
type Said = BTreeMap<&'static str, String>;

fn nvidia_smi() -> Vec<Said> {
    let queries: Vec<&str> = ["index"]
        .into_iter()
        .chain(TEXTS.iter().map(|(query, _)| *query))
        .chain(VALUES.iter().map(|(query, ..)| *query))
        .collect();
    let output = Command::new("nvidia-smi")
        .arg(format!("--query-gpu={}", queries.join(",")))
        .arg("--format=csv,noheader,nounits")
        .output()
        .expect("there is no GPU of NVIDIA's here, or no driver: no nvidia-smi");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "nvidia-smi: {text}");
    let gpus: Vec<Said> = text
        .lines()
        .map(|line| {
            let values = line.split(',').map(|value| value.trim().to_owned());
            queries.iter().copied().zip(values).collect()
        })
        .collect();
    assert!(!gpus.is_empty(), "there is no GPU here: nvidia-smi lists none");
    gpus
}

/// What differs between both, for a GPU.
fn differing(said: &Said, page: &Page) -> Vec<&'static str> {
    let gpu = [("gpu", said["index"].as_str())];
    let differs = |(query, name, share, more): &(&'static str, &str, f64, f64)| {
        // `[N/A]` and its like, which must have no series.
        let theirs = said[query].parse::<f64>().ok();
        // Parts of a GPU are beside the whole of it.
        let ours = page.samples().iter().find(|sample| {
            sample.name == **name
                && sample.labels["gpu"] == said["index"]
                && !sample.labels.contains_key("GPU_I_ID")
        });
        let agree = match (theirs, ours) {
            (Some(theirs), Some(ours)) => {
                (theirs - ours.value).abs() <= (share * theirs).max(*more)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        (!agree).then_some(*query)
    };
    let mut differing: Vec<_> = VALUES.iter().filter_map(differs).collect();
    for (query, label) in TEXTS {
        if page.sum("gpu_info", &[gpu[0], (label, said[query].as_str())]).is_none() {
            differing.push(query);
        }
    }
    differing
}

#[test]
#[ignore = "needs one of NVIDIA's GPUs: `cargo xtask test --gpu`"]
fn what_is_shown_of_real_gpus_is_what_nvidia_smi_says() {
    let registry = Registry::new();
    let collector = GpuCollector::new().interval(Duration::from_millis(100));
    let gpus = collector.register(&registry).unwrap();
    let first = nvidia_smi();
    let up = |page: &Page, said: &Said| page.sum("gpu_up", &[("gpu", &said["index"])]) == Some(1.0);
    until(&registry, "all GPUs are up", |page| first.iter().all(|said| up(page, said)));

    // What moves between two looks agrees at some time; what does not, at each.
    let mut left: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for look in 0..LOOKS {
        let said = nvidia_smi();
        let page =
            until(&registry, "all GPUs are up", |page| said.iter().all(|said| up(page, said)));
        for said in &said {
            let differing = differing(said, &page);
            let left = left.entry(said["index"].clone()).or_insert_with(|| differing.clone());
            left.retain(|query| look == 0 || differing.contains(query));
        }
        if left.values().all(Vec::is_empty) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(left.values().all(Vec::is_empty), "nvidia-smi says otherwise, by GPU: {left:?}");

    let page = until(&registry, "energy is counted", |page| {
        page.sum("gpu_energy_joules_total", &[]) > Some(0.0)
    });
    let lost = page.sum("dynamo_metrics_collect_errors_total", &[("source", "nvml")]);
    assert_eq!(lost, None, "calls failed");
    drop(gpus);
}
