//! What goes wrong with a GPU, its driver or its library costs its own series, is counted, and is
//! tried again.

use std::fs;
use std::time::Duration;

use dynamo_metrics::collect::gpu::Missing;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;

use crate::machine::{Machine, until};

const ERRORS: &str = "dynamo_metrics_collect_errors_total";

fn errors(page: &Page, reason: &str) -> Option<f64> {
    page.sum(ERRORS, &[("source", "nvml"), ("reason", reason)])
}

fn up(page: &Page, gpu: &str) -> Option<f64> {
    page.sum("gpu_up", &[("gpu", gpu)])
}

/// Names of series of this GPU.
fn series<'a>(page: &'a Page, gpu: &str) -> Vec<&'a str> {
    let of =
        page.samples().iter().filter(|sample| sample.labels.get("gpu").is_some_and(|is| is == gpu));
    of.map(|sample| sample.name.as_str()).collect()
}

/// Both GPUs are there, then this is said of the first, and it is down.
fn brought_down(machine: &Machine, registry: &Registry, said: &str) -> Page {
    until(registry, "both GPUs are up", |page| {
        (up(page, "0"), up(page, "1")) == (Some(1.0), Some(1.0))
    });
    machine.control(said);
    until(registry, "nothing of the first GPU is shown but that it is down", |page| {
        up(page, "0") == Some(0.0) && series(page, "0") == ["gpu_info", "gpu_up"]
    })
}

/// The first GPU answers again.
fn comes_back(machine: &Machine, registry: &Registry) {
    machine.control("0.utilization 99\n");
    until(registry, "the first GPU is up again", |page| {
        up(page, "0") == Some(1.0)
            && page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "0")]) == Some(99.0)
    });
}

#[test]
fn a_gpu_that_falls_off_the_bus_costs_its_own_series_and_comes_back() {
    let (machine, registry) = (Machine::nvidia("lost", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = brought_down(&machine, &registry, "0.state lost\n");
    assert!(series(&page, "1").len() > 60, "{:?}", series(&page, "1"));
    until(&registry, "it is asked again", |page| errors(page, "gpu_lost") >= Some(3.0));
    comes_back(&machine, &registry);
    drop(gpus);
}

#[test]
fn the_error_of_a_gpu_that_falls_off_the_bus_is_counted() {
    let (machine, registry) = (Machine::nvidia("last-words", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    // So that it is being waited for.
    until(&registry, "the first GPU has had none", |page| {
        page.sum("DCGM_FI_DEV_XID_ERRORS", &[("gpu", "0")]) == Some(0.0)
    });
    machine.control("0.state lost\n");
    until(&registry, "it is down", |page| up(page, "0") == Some(0.0));
    machine.control("0.state lost\n0.xid 79\n");
    until(&registry, "its error is counted", |page| {
        page.sum("gpu_xid_errors_total", &[("gpu", "0"), ("xid", "79")]) == Some(1.0)
    });
    comes_back(&machine, &registry);
    drop(gpus);
    assert_eq!(encode::text(&registry).matches("xid=").count(), 0);
}

#[test]
fn events_that_cannot_be_waited_for_are_once_they_can() {
    let (machine, registry) = (Machine::nvidia("deaf", "0.events broken\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "it is counted, and costs nothing else", |page| {
        up(page, "0") == Some(1.0)
            && errors(page, "failed") >= Some(1.0)
            && page.sum("DCGM_FI_DEV_XID_ERRORS", &[("gpu", "0")]).is_none()
    });
    machine.control("0.xid 31\n");
    until(&registry, "its errors are heard", |page| {
        page.sum("gpu_xid_errors_total", &[("gpu", "0"), ("xid", "31")]) == Some(1.0)
    });
    drop(gpus);
}

#[test]
fn a_gpu_whose_calls_fail_costs_its_own_series_and_comes_back() {
    let (machine, registry) = (Machine::nvidia("failing", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    brought_down(&machine, &registry, "0.state failing\n1.utilization 7\n");
    until(&registry, "the other one is sampled meanwhile", |page| {
        page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "1")]) == Some(7.0)
            && errors(page, "failed") > Some(10.0)
    });
    comes_back(&machine, &registry);
    drop(gpus);
}

#[test]
fn a_driver_that_hangs_costs_the_series_of_its_gpu_and_one_thread() {
    let (machine, registry) = (Machine::nvidia("hanging", ""), Registry::new());
    let collector = machine.collector().patience(Duration::from_secs(2));
    let gpus = collector.register(&registry).unwrap();
    brought_down(&machine, &registry, "0.state hanging\n1.utilization 7\n");
    let page = until(&registry, "the other one is sampled meanwhile", |page| {
        page.sum("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "1")]) == Some(7.0)
    });
    assert_eq!(up(&page, "1"), Some(1.0));
    // It is counted once, and nobody else asks the GPU meanwhile.
    assert_eq!(errors(&page, "timeout"), Some(1.0));
    assert_eq!(machine.told("hanging").as_deref(), Some("0\n"));
    comes_back(&machine, &registry);
    drop(gpus);
}

#[test]
fn a_gpu_that_fails_one_call_keeps_the_others() {
    let (machine, registry) = (Machine::nvidia("one", "0.power broken\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    let page = until(&registry, "the first GPU is up", |page| {
        up(page, "0") == Some(1.0) && errors(page, "failed").is_some()
    });
    assert_eq!(page.sum("gpu_power_watts", &[("gpu", "0")]), None);
    assert_eq!(page.sum("gpu_memory_used_bytes", &[("gpu", "0")]), Some(68_719_476_736.0));
    drop(gpus);
}

#[test]
fn a_gpu_that_is_not_listed_any_more_is_down_until_it_is() {
    let (machine, registry) = (Machine::nvidia("unlisted", ""), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "both GPUs are up", |page| {
        (up(page, "0"), up(page, "1")) == (Some(1.0), Some(1.0))
    });
    machine.control("gpus 1\n");
    until(&registry, "the second is down", |page| {
        series(page, "1") == ["gpu_info", "gpu_up"] && up(page, "1") == Some(0.0)
    });
    machine.control("");
    until(&registry, "both are up again", |page| {
        (up(page, "0"), up(page, "1")) == (Some(1.0), Some(1.0))
    });
    drop(gpus);
}

#[test]
fn a_gpu_that_comes_later_is_found() {
    let (machine, registry) = (Machine::nvidia("later", "gpus 1\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "one GPU is up", |page| up(page, "0") == Some(1.0));
    machine.control("gpus 3\n");
    until(&registry, "three are", |page| up(page, "2") == Some(1.0) && up(page, "1") == Some(1.0));
    drop(gpus);
}

#[test]
fn a_library_that_is_missing_is_counted_and_found_when_it_comes() {
    let (machine, registry) = (Machine::new("missing"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "it is looked for again", |page| errors(page, "no_library") >= Some(3.0));
    machine.control("");
    machine.install();
    until(&registry, "the GPUs are shown", |page| up(page, "1") == Some(1.0));
    drop(gpus);
}

#[test]
fn a_driver_that_is_not_loaded_is_counted_and_found_when_it_comes() {
    let (machine, registry) = (Machine::nvidia("unloaded", "library absent\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "it is looked for again", |page| errors(page, "no_driver") >= Some(3.0));
    machine.control("");
    until(&registry, "the GPUs are shown", |page| up(page, "1") == Some(1.0));
    drop(gpus);
}

#[test]
fn a_file_that_is_no_library_is_counted() {
    let (machine, registry) = (Machine::new("text"), Registry::new());
    fs::write(machine.library(), "this is no library").unwrap();
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "it is counted", |page| errors(page, "no_library") >= Some(1.0));
    drop(gpus);
}

#[test]
fn where_no_gpu_is_expected_nothing_is_shown() {
    let (machine, registry) = (Machine::new("ignored"), Registry::new());
    let gpus = machine.collector().missing(Missing::Ignored).register(&registry).unwrap();
    // It has been looked for by then, and is found when it comes.
    machine.control("");
    for _ in 0..3 {
        assert_eq!(encode::text(&registry), "");
        std::thread::sleep(Duration::from_millis(50));
    }
    machine.install();
    let page = until(&registry, "the GPUs are shown", |page| up(page, "1") == Some(1.0));
    assert_eq!(page.sum(ERRORS, &[]), None);
    drop(gpus);
}

#[test]
fn more_gpus_than_have_room_are_counted() {
    let (machine, registry) = (Machine::nvidia("crowd", "gpus 130\n"), Registry::new());
    let collector = machine.collector().interval(Duration::from_secs(3600));
    let gpus = collector.register(&registry).unwrap();
    let page = until(&registry, "the last one is shown", |page| {
        up(page, "127") == Some(1.0) && errors(page, "too_many") >= Some(1.0)
    });
    assert_eq!(up(&page, "128"), None);
    drop(gpus);
}

#[test]
fn a_collector_that_is_dropped_ends_its_threads_and_unloads_the_library() {
    let (machine, registry) = (Machine::nvidia("ends", "gpus 3\n"), Registry::new());
    let gpus = machine.collector().register(&registry).unwrap();
    until(&registry, "the third GPU is up", |page| up(page, "2") == Some(1.0));
    assert!(machine.told("loaded").is_some());
    drop(gpus);
    until(&registry, "nobody uses the library", |_| machine.told("loaded").is_none());
}

#[test]
fn who_drops_a_collector_does_not_wait_for_a_driver_that_hangs() {
    let (machine, registry) = (Machine::nvidia("stuck", ""), Registry::new());
    let collector = machine.collector().patience(Duration::from_secs(2));
    let gpus = collector.register(&registry).unwrap();
    brought_down(&machine, &registry, "0.state hanging\n");
    drop(gpus);
    assert_eq!(series(&Page::read(&encode::text(&registry)), "0"), [""; 0]);
    // What the driver says in the end is nobody's.
    machine.control("");
    until(&registry, "nobody uses the library", |_| machine.told("loaded").is_none());
    assert_eq!(series(&Page::read(&encode::text(&registry)), "0"), [""; 0]);
}
