//! What becomes of GPUs whose drivers do what real ones rarely do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::fault::{Fault, Reason};
use super::labels::DcgmGpu;
use super::pool::{Driver, Job, Pool};
use super::reading::{Facts, Reading, Vendor};
use super::shown::Sets;
use super::{GpuCollector, GpuError, GpuNames, LONGEST_HOST, Missing, Times, floor};
use crate::encode;
use crate::label::LabelSet;
use crate::registry::Registry;
use crate::registry::catalogue::Listed;

const ERRORS: &str = "dynamo_metrics_collect_errors_total";

/// A driver that finds what a function says.
struct Made<F>(F);

impl<F: FnMut() -> Vec<(u32, Job)> + Send + 'static> Driver for Made<F> {
    const NAME: &'static str = "made";

    fn look(&mut self, _: bool) -> Result<Vec<(u32, Job)>, Fault> {
        Ok((self.0)())
    }
}

/// A pool that looks for GPUs often, with one driver.
fn pool(registry: &Registry, driver: impl Driver) -> Arc<Pool> {
    let sets = Sets::register(registry, GpuNames::Both, &[]).unwrap();
    let (interval, retry) = (Duration::from_millis(5), Duration::from_millis(10));
    let times = Times { interval, patience: Duration::from_secs(60), retry };
    let pool = Pool::new(registry, sets, times, Missing::Counted);
    pool.find(driver).unwrap();
    pool
}

fn facts(index: u32, uuid: &str) -> Facts {
    Facts {
        vendor: Vendor::Nvidia,
        index,
        uuid: uuid.into(),
        model: "made".into(),
        pci_bus_id: String::new(),
        device: String::new(),
        serial: String::new(),
        vbios: String::new(),
        driver: String::new(),
    }
}

/// Samples a GPU of this identity, until `lost`.
fn job(index: u32, uuid: &'static str, lost: &Arc<AtomicBool>) -> (u32, Job) {
    let lost = Arc::clone(lost);
    let job: Job = Box::new(move |worker| {
        if !worker.begin(&facts(index, uuid)) {
            return Ok(());
        }
        worker.sample(|_, reading: &mut Reading| {
            (reading.answered, reading.utilization) = (true, Some(5));
            if lost.load(Ordering::SeqCst) { Err(Fault::new(Reason::Lost, "")) } else { Ok(()) }
        })
    });
    (index, job)
}

/// The page, once it has this line.
fn until(registry: &Registry, line: &str) -> String {
    wait(registry, |page| page.lines().any(|other| other == line))
}

/// The page, once it is as `wanted` says.
fn wait(registry: &Registry, wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let page = encode::text(registry);
        if wanted(&page) {
            return page;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come to that:\n{page}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn who_panics_is_counted_and_tried_again() {
    let registry = Registry::new();
    let panics = || -> Vec<(u32, Job)> { vec![(0, Box::new(|_| panic!("odd firmware")))] };
    let pool = pool(&registry, Made(panics));
    let start = format!("{ERRORS}{{reason=\"panic\",source=\"made\"}} ");
    wait(&registry, |page| {
        let count = page.lines().find_map(|line| line.strip_prefix(&start));
        count.is_some_and(|count| count.parse::<u32>().unwrap() >= 3)
    });
    pool.stop();
}

#[test]
fn a_gpu_that_is_listed_twice_is_shown_once() {
    let (registry, never) = (Registry::new(), Arc::new(AtomicBool::new(false)));
    let pool = pool(
        &registry,
        Made(move || vec![job(0, "a", &never), job(1, "a", &never), job(2, "b", &never)]),
    );
    let page = until(&registry, "gpu_up{gpu=\"2\",uuid=\"b\"} 1");
    assert_eq!(page.matches("gpu_up{").count(), 2, "{page}");
    pool.stop();
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn a_gpu_that_comes_back_under_another_number_is_shown_under_that_alone() {
    let (registry, lost) = (Registry::new(), Arc::new(AtomicBool::new(false)));
    let (gone, never) = (Arc::clone(&lost), Arc::new(AtomicBool::new(false)));
    let look = move || {
        if gone.load(Ordering::SeqCst) {
            vec![job(7, "a", &never)]
        } else {
            vec![job(0, "a", &gone)]
        }
    };
    let pool = pool(&registry, Made(look));
    until(&registry, "gpu_up{gpu=\"0\",uuid=\"a\"} 1");
    lost.store(true, Ordering::SeqCst);
    let page = until(&registry, "gpu_up{gpu=\"7\",uuid=\"a\"} 1");
    assert!(!page.contains("gpu=\"0\""), "{page}");
    assert!(page.contains(&format!("{ERRORS}{{reason=\"gpu_lost\",source=\"made\"}} 1\n")));
    pool.stop();
}

#[test]
fn sets_are_listed_whether_there_are_gpus_or_not() {
    let registry = Registry::new();
    let nowhere = std::path::Path::new("/nonexistent");
    let collector = GpuCollector::new().lib_path(nowhere).sysfs(nowhere);
    let gpus = collector.register(&registry).unwrap();
    let listed = registry.catalogue();
    let names: Vec<_> = listed.iter().map(|set| set.info().name).collect();
    let dcgm = ["DcgmGpuMetrics", "DcgmProfilingMetrics", "DcgmMigMetrics"];
    let base = ["GpuMetrics", "GpuDetailMetrics", "GpuMigMetrics"];
    assert_eq!(names, [dcgm, base].concat());
    let (name, info) = listed[0].metrics().next().unwrap();
    assert_eq!(name, "DCGM_FI_DEV_SM_CLOCK");
    assert_eq!(info.label_names().collect::<Vec<_>>(), DcgmGpu::NAMES);
    assert!(listed.iter().flat_map(Listed::metrics).all(|(_, info)| !info.help.is_empty()));
    drop(gpus);
}

#[test]
fn a_time_of_zero_is_refused() {
    let registry = Registry::new();
    for collector in [
        GpuCollector::new().interval(Duration::ZERO),
        GpuCollector::new().patience(Duration::ZERO),
        GpuCollector::new().retry(Duration::ZERO),
    ] {
        assert!(matches!(collector.register(&registry), Err(GpuError::ZeroTime)));
    }
    assert_eq!(encode::text(&registry), "");
}

#[test]
fn a_name_that_is_taken_is_an_error() {
    let registry = Registry::new();
    registry.counter("gpu_power_watts", "").register().unwrap();
    assert!(matches!(GpuCollector::new().register(&registry), Err(GpuError::Register(_))));
}

#[test]
fn long_names_of_hosts_are_cut_between_characters() {
    let host = "é".repeat(200);
    assert_eq!(floor(&host, LONGEST_HOST), 252);
    assert_eq!(floor("node-7", LONGEST_HOST), 6);
}
