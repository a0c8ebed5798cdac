//! What is shown of NVIDIA's GPUs.

use dynamo_metrics::collect::gpu::{GpuNames, HostLabel};
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden::check;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::prometheus::Folder;
use dynamo_metrics_tests::tools::python;

use crate::machine::{Machine, until};

/// Whether both GPUs are shown with all that there is of them.
fn whole(page: &Page) -> bool {
    is_whole(page, "0") && is_whole(page, "1")
}

fn is_whole(page: &Page, gpu: &str) -> bool {
    page.sum("gpu_up", &[("gpu", gpu)]) == Some(1.0)
        && page.sum("DCGM_FI_DEV_XID_ERRORS", &[("gpu", gpu)]).is_some()
}

#[test]
fn two_gpus_are_exposed_to_the_letter() {
    let (machine, registry) = (Machine::nvidia("letter", "gpus 1\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    // One after the other, since that is the order in which they are shown.
    until(&registry, "the first GPU is whole", |page| is_whole(page, "0"));
    machine.control("1.mig on\n");
    until(&registry, "both GPUs are whole, and their counters were compared", |page| {
        let compared =
            |gpu| page.sum("gpu_nvlink_receive_bytes_per_second", &[("gpu", gpu)]).is_some();
        whole(page) && compared("0") && compared("1")
    });
    check("gpu.txt", &encode::text(&registry));
    check("gpu.openmetrics", &encode::openmetrics(&registry));
    drop(gpus);
}

#[test]
fn a_strict_parser_reads_both_formats_and_finds_the_same() {
    let (machine, registry) = (Machine::nvidia("strict", "0.mig on\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are whole", whole);
    let folder = Folder::new("gpu-pages");
    let text = folder.write("text", &encode::text(&registry));
    let openmetrics = folder.write("openmetrics", &encode::openmetrics(&registry));
    let read = python("parse_pages.py").args([text, openmetrics]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    drop(gpus);
}

#[test]
fn values_follow_the_gpu() {
    let (machine, registry) = (Machine::nvidia("follow", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are whole", whole);
    machine.control("1.utilization 77\n1.power 123456\n");
    let second = [("gpu", "1")];
    let page = until(&registry, "the second GPU works more", |page| {
        page.sum("DCGM_FI_DEV_GPU_UTIL", &second) == Some(77.0)
            && page.sum("DCGM_FI_DEV_POWER_USAGE", &second) == Some(123.456)
    });
    assert_eq!(page.sum("gpu_utilization_ratio", &second), Some(0.77));
    assert_eq!(page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "0")]), Some(42.0));
    drop(gpus);
}

#[test]
fn what_a_gpu_cannot_tell_has_no_series_and_is_no_error() {
    let none = "0.power none\n0.ecc_corrected_volatile none\n0.memory_temperature none\n";
    let (machine, registry) = (Machine::nvidia("none", none), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "both GPUs are whole", whole);
    for name in ["DCGM_FI_DEV_POWER_USAGE", "gpu_power_watts", "DCGM_FI_DEV_MEMORY_TEMP"] {
        assert_eq!(page.sum(name, &[("gpu", "0")]), None, "{name}");
        assert!(page.sum(name, &[("gpu", "1")]).is_some(), "{name}");
    }
    // No GPU of this sort has a fan.
    assert_eq!(page.sum("DCGM_FI_DEV_FAN_SPEED", &[]), None);
    assert_eq!(page.sum("dynamo_metrics_collect_errors_total", &[("source", "nvml")]), None);

    machine.control("");
    until(&registry, "it can tell its power", |page| {
        page.sum("gpu_power_watts", &[("gpu", "0")]).is_some()
    });
    machine.control(none);
    until(&registry, "it cannot tell its power any more", |page| {
        page.sum("gpu_power_watts", &[("gpu", "0")]).is_none()
    });
    drop(gpus);
}

#[test]
fn counters_that_the_driver_sets_back_start_anew() {
    let (machine, registry) = (Machine::nvidia("back", "0.energy 5000\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    for (energy, joules) in [("9000", 9.0), ("2500", 2.5), ("2600", 2.6)] {
        machine.control(&format!("0.energy {energy}\n"));
        until(&registry, "the energy is what the driver says", |page| {
            page.sum("gpu_energy_joules_total", &[("gpu", "0")]) == Some(joules)
        });
    }
    drop(gpus);
}

#[test]
fn parts_of_a_gpu_come_and_go_beside_the_whole() {
    let (machine, registry) = (Machine::nvidia("mig", "0.mig on\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "both GPUs are whole", whole);
    let part = [("gpu", "0"), ("GPU_I_ID", "7"), ("GPU_I_PROFILE", "1g.18gb")];
    assert_eq!(page.sum("DCGM_FI_DEV_FB_USED", &part), Some(256.0));
    let used = "gpu_mig_memory_used_bytes";
    assert_eq!(page.sum(used, &[("instance", "1"), ("profile", "3g.71gb")]), Some(5_368_709_120.0));
    assert_eq!(page.sum(used, &[("gpu", "1")]), None);
    assert_eq!(page.sum("gpu_memory_used_bytes", &[("gpu", "0")]), Some(68_719_476_736.0));

    machine.control("");
    until(&registry, "the parts are gone", |page| page.sum(used, &[]).is_none());
    let page = until(&registry, "both GPUs are whole", whole);
    assert_eq!(page.sum("DCGM_FI_DEV_FB_USED", &part), None);
    assert_eq!(page.sum("DCGM_FI_DEV_FB_USED", &[("gpu", "0")]), Some(65536.0));
    drop(gpus);
}

#[test]
fn critical_errors_are_counted_and_the_last_is_shown() {
    let (machine, registry) = (Machine::nvidia("xid", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are whole", whole);
    machine.control("1.xid 31\n1.xid 79\n1.xid 31\n");
    let count = "gpu_xid_errors_total";
    let page = until(&registry, "three errors are counted", |page| {
        page.sum(count, &[]) == Some(3.0)
            && page.sum("DCGM_FI_DEV_XID_ERRORS", &[("gpu", "1")]) == Some(31.0)
    });
    assert_eq!(page.sum(count, &[("gpu", "1"), ("xid", "31")]), Some(2.0));
    assert_eq!(page.sum(count, &[("gpu", "1"), ("xid", "79")]), Some(1.0));
    assert_eq!(page.sum("DCGM_FI_DEV_XID_ERRORS", &[("gpu", "0")]), Some(0.0));
    drop(gpus);
}

#[test]
fn values_that_no_gpu_can_have_have_no_series() {
    let control = "0.utilization 4294967295\n0.power 4294967295\n0.energy 18446744073709551615\n";
    let (machine, registry) = (Machine::nvidia("beyond", control), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "both GPUs are whole", whole);
    for name in [
        "gpu_utilization_ratio",
        "DCGM_FI_DEV_GPU_UTIL",
        "gpu_power_watts",
        "gpu_energy_joules_total",
    ] {
        assert_eq!(page.sum(name, &[("gpu", "0")]), None, "{name}");
        assert!(page.sum(name, &[("gpu", "1")]).is_some(), "{name}");
    }
    drop(gpus);
}

#[test]
fn a_process_is_shown_for_as_long_as_it_has_memory() {
    let (machine, registry) =
        (Machine::nvidia("process", "0.compute 7:1024,8:2048\n0.graphics 7:64\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let memory = "gpu_process_memory_used_bytes";
    let page = until(&registry, "both GPUs are whole", whole);
    assert_eq!(page.sum(memory, &[("pid", "7"), ("kind", "compute")]), Some(1024.0));
    assert_eq!(page.sum(memory, &[("pid", "7"), ("kind", "graphics")]), Some(64.0));
    machine.control("0.compute 8:4096\n");
    let page =
        until(&registry, "one process is gone", |page| page.sum(memory, &[("pid", "7")]).is_none());
    assert_eq!(page.sum(memory, &[("gpu", "0")]), Some(4096.0));
    drop(gpus);
}

#[test]
fn of_many_processes_those_with_most_memory_are_shown() {
    let many: Vec<String> = (1..=300).map(|pid| format!("{pid}:{}", pid * 1024)).collect();
    let (machine, registry) =
        (Machine::nvidia("many", &format!("0.compute {}\n", many.join(","))), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "both GPUs are whole", whole);
    let of = |pid: &str| page.sum("gpu_process_memory_used_bytes", &[("gpu", "0"), ("pid", pid)]);
    let shown: Vec<u32> = (1..=300).filter(|pid| of(&pid.to_string()).is_some()).collect();
    assert_eq!(shown, (237..=300).collect::<Vec<_>>());
    drop(gpus);
}

#[test]
fn what_keeps_clocks_down_is_a_mask_and_a_series_each() {
    let (machine, registry) = (Machine::nvidia("throttle", "0.throttle 72\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "both GPUs are whole", whole);
    assert_eq!(page.sum("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", &[("gpu", "0")]), Some(72.0));
    let of = |reason| page.sum("gpu_throttled", &[("gpu", "0"), ("reason", reason)]);
    assert_eq!((of("hw_slowdown"), of("hw_thermal_slowdown")), (Some(1.0), Some(1.0)));
    assert_eq!((of("sw_power_cap"), of("gpu_idle")), (Some(0.0), Some(0.0)));
    assert_eq!(page.sum("gpu_throttled", &[("gpu", "0")]), Some(2.0));
    drop(gpus);
}

#[test]
fn a_gpu_without_counters_of_its_own_has_no_series_of_them() {
    let (machine, registry) = (Machine::nvidia("counters", "0.gpm 0\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "those of the other are compared", |page| {
        page.sum("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", &[("gpu", "1")]) == Some(0.38)
            && page.sum("gpu_nvlink_receive_bytes_per_second", &[]) == Some(268_435_456.0)
    });
    assert_eq!(page.sum("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", &[("gpu", "0")]), None);
    // One that this GPU does not count.
    assert_eq!(page.sum("DCGM_FI_PROF_NVLINK_TX_BYTES", &[]), None);
    drop(gpus);
}

#[test]
fn one_kind_of_names_can_be_had_alone() {
    let machine = Machine::nvidia("names", "");
    let ours = |page: &Page| page.sum("gpu_up", &[("gpu", "1")]).is_some();
    let theirs = |page: &Page| page.sum("DCGM_FI_DEV_FB_USED", &[("gpu", "1")]).is_some();
    for (names, is_theirs) in [(GpuNames::Dcgm, true), (GpuNames::Base, false)] {
        let registry = Registry::new();
        let collector = machine.collector().names(names).host_label(HostLabel::Upper);
        let gpus = collector.register(&registry).unwrap();
        let page = until(&registry, "GPUs are shown", |page| ours(page) || theirs(page));
        assert_eq!((theirs(&page), ours(&page)), (is_theirs, !is_theirs));
        let host = page.sum("DCGM_FI_DEV_FB_USED", &[("Hostname", "node-1")]);
        assert_eq!(host.is_some(), is_theirs);
        drop(gpus);
    }
}

#[test]
fn nothing_is_shown_once_the_collector_is_dropped() {
    let (machine, registry) = (Machine::nvidia("drop", "0.mig on\n0.xid 13\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are whole", |page| {
        whole(page) && page.sum("gpu_xid_errors_total", &[]).is_some()
    });
    drop(gpus);
    assert_eq!(encode::text(&registry), "");
    // And again.
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are whole", whole);
    drop(gpus);
    assert_eq!(encode::text(&registry), "");
}
