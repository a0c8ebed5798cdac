//! What a machine does, told by its files: those of a made-up machine, and those of this one.

use std::fmt::Write as _;
use std::io::Write as _;

use dynamo_metrics::collect::HostCollector;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::wait_for;

use super::tree::{Machine, TITLES};

/// Every file that is read, but for those of file systems.
const FILES: [&str; 5] =
    ["proc/stat", "proc/meminfo", "proc/loadavg", "proc/diskstats", "proc/1/net/dev"];

#[test]
fn a_machine_is_told_to_the_letter() {
    let machine = Machine::new();
    machine.furnish();
    machine.collect();
    let text = wait_for("the file systems and links", || {
        let text = machine.text();
        let are_told = ["node_filesystem_device_error{", "node_network_speed_bytes{"];
        let is_whole = text.contains("_filesystem_age_seconds ");
        (is_whole && are_told.into_iter().all(|told| text.contains(told))).then_some(text)
    });
    // How big the disk is that this runs on, the file does not know, nor how late it is.
    let is_told = |line: &str| {
        line.starts_with('#')
            || line.starts_with("node_filesystem_device_error")
            || !(line.starts_with("node_filesystem_") || line.contains("_age_seconds"))
    };
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if !is_told(line) => format!("{series} _\n"),
        _ => format!("{line}\n"),
    };
    golden::check("host.txt", &text.lines().map(line).collect::<String>());
    assert_eq!(machine.errors(), 0.0);
}

#[test]
fn what_is_missing_costs_only_itself_and_comes_when_it_is_there() {
    let machine = Machine::new();
    machine.collect();
    assert_eq!((machine.series(), machine.errors() > 0.0), (0, true), "{}", machine.text());
    machine.furnish();
    let whole = machine.series();
    assert!(whole > 80, "{whole}");
    // The last time it was not there is behind us.
    let errors = machine.errors();
    assert_eq!(machine.errors(), errors);
    for file in FILES {
        let machine = Machine::new();
        machine.furnish();
        machine.collect();
        machine.write(file, "");
        let less = machine.series();
        assert!(less > 10 && less < whole, "{file}: {less} of {whole}");
        machine.furnish();
        assert_eq!(machine.series(), whole, "{file}");
    }
}

#[test]
fn garbage_makes_no_series() {
    let noise: Vec<u8> =
        (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    for garbage in
        [&noise[..], b"\0\0\0", b"cpu0\ncpu1 x y z\ncpu-1 1 1 1 1\nMemTotal: -1 kB\n", b": : :\n"]
    {
        let machine = Machine::new();
        machine.furnish();
        for file in FILES {
            machine.write(file, garbage);
        }
        machine.write("proc/1/mounts", garbage);
        machine.collect();
        let page = machine.page();
        for name in ["node_cpu_seconds_total", "node_memory_MemTotal_bytes", "node_load1"] {
            assert_eq!(page.sum(name, &[]), None, "{name}");
        }
        assert!(machine.errors() > 0.0);
    }
}

#[test]
fn numbers_as_big_as_they_can_be_are_shown_and_bigger_ones_are_not() {
    let machine = Machine::new();
    machine.furnish();
    let (big, too_big) = (u64::MAX, "18446744073709551616");
    machine.write(
        "proc/stat",
        format!("cpu0 {big} {too_big} 1 1 1 1 1 1\nctxt {too_big}\nbtime {big}\n"),
    );
    machine.write("proc/meminfo", format!("MemTotal: {big} kB\nMemFree: {too_big} kB\n"));
    machine.collect();
    let page = machine.page();
    let cpu = |mode| page.sum("node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)]);
    assert_eq!(cpu("user"), Some(big as f64 / 100.0));
    assert_eq!(cpu("nice"), None);
    assert_eq!(page.sum("node_boot_time_seconds", &[]), Some(big as f64));
    assert_eq!(page.sum("node_context_switches_total", &[]), None);
    assert_eq!(page.sum("node_memory_MemTotal_bytes", &[]), Some(big as f64 * 1024.0));
    assert_eq!(page.sum("node_memory_MemFree_bytes", &[]), None);
}

#[test]
fn of_a_thousand_devices_some_are_left_out_and_all_go_when_they_do() {
    let machine = Machine::new();
    machine.furnish();
    let (mut network, mut disks) = (TITLES.to_owned(), String::new());
    for n in 0..1_000 {
        writeln!(network, " veth{n}: {n} 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0").unwrap();
        writeln!(disks, "8 {n} dm-{n} {n} 1 8 1 1 1 8 1 0 1 1").unwrap();
    }
    machine.write("proc/1/net/dev", network).write("proc/diskstats", disks);
    machine.collect();
    let count = |name: &str| {
        let page = machine.page();
        page.samples().iter().filter(|sample| sample.name == name).count()
    };
    assert_eq!(count("node_network_receive_bytes_total"), 512);
    assert_eq!(count("node_disk_reads_completed_total"), 256);
    assert!(machine.errors() > 0.0, "they are counted");
    let page = machine.page();
    let received = page.sum("node_network_receive_bytes_total", &[("device", "veth511")]);
    assert_eq!(received, Some(511.0));
    assert!(!machine.text().contains("_overflow"));
    machine.furnish();
    assert_eq!(count("node_network_receive_bytes_total"), 2);
    assert_eq!(count("node_disk_reads_completed_total"), 2);
}

#[test]
fn cores_go_and_come() {
    let machine = Machine::new();
    machine.furnish();
    machine.collect();
    let idle = [("mode", "idle")];
    let core =
        |cpu| machine.page().sum("node_cpu_seconds_total", &[&[("cpu", cpu)], &idle[..]].concat());
    assert_eq!(core("1"), Some(20.0));
    machine.write("proc/stat", "cpu0 1 1 1 1 1 1 1 1\nctxt 5\n");
    assert_eq!((core("0"), core("1")), (Some(0.01), None));
    machine.furnish();
    assert_eq!(core("1"), Some(20.0));
}

#[test]
fn times_never_go_back_but_where_a_core_begins_anew() {
    let machine = Machine::new();
    machine.furnish();
    machine.collect();
    let times = || {
        let page = machine.page();
        ["user", "idle", "iowait"]
            .map(|mode| page.sum("node_cpu_seconds_total", &[("cpu", "0"), ("mode", mode)]))
    };
    assert_eq!(times(), [1.0, 20.0, 0.2].map(Some));
    // The kernel estimates who was idle and who waited, and takes some of it back.
    machine.write("proc/stat", "cpu0 110 10 30 1990 15 1 2 3 0 0\n");
    assert_eq!(times(), [1.1, 20.0, 0.2].map(Some));
    machine.write("proc/stat", "cpu0 110 10 30 2010 25 1 2 3 0 0\n");
    assert_eq!(times(), [1.1, 20.1, 0.25].map(Some));
    // So much it never takes back.
    machine.write("proc/stat", "cpu0 5 0 0 1000 2 0 0 0 0 0\n");
    assert_eq!(times(), [0.05, 10.0, 0.02].map(Some));
}

#[test]
fn a_device_that_does_not_answer_costs_only_what_it_would_say() {
    let machine = Machine::new();
    machine.furnish();
    // Who opens a pipe waits for one who writes to it.
    let pipe = machine.pipe("sys/class/net/eth0/speed");
    machine.collect();
    let eth0 = [("device", "eth0")];
    let speed = || machine.page().sum("node_network_speed_bytes", &eth0);
    let page = machine.page();
    assert_eq!(page.sum("node_network_receive_bytes_total", &eth0), Some(367_007_971.0));
    assert_eq!(page.sum("node_load1", &[]), Some(0.5));
    assert_eq!(speed(), None);
    // It answers, and from now on at once.
    let mut answer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    std::fs::remove_file(&pipe).unwrap();
    machine.write("sys/class/net/eth0/speed", "1000\n");
    answer.write_all(b"1000\n").unwrap();
    drop(answer);
    wait_for("its speed", || (speed() == Some(125e6)).then_some(()));
}

#[test]
fn a_low_cap_of_the_registry_does_not_mix_devices() {
    let mut machine = Machine::new();
    machine.registry = Registry::builder().series_cap(1).build();
    machine.furnish();
    machine.collect();
    let text = wait_for("the file systems", || {
        let text = machine.text();
        text.contains("_filesystem_age_seconds ").then_some(text)
    });
    assert!(!text.contains("_overflow"), "{text}");
    let page = Page::read(&text);
    for (disk, reads) in [("nvme0n1", 1_000.0), ("sda", 10.0)] {
        let told = page.sum("node_disk_reads_completed_total", &[("device", disk)]);
        assert_eq!(told, Some(reads), "{disk}");
    }
}

#[test]
fn names_are_everybodys_wherever_it_is_registered() {
    let machine = Machine::new();
    machine.furnish();
    let scope = machine.registry.namespace("prod").component("agent").with_prefix("mine");
    HostCollector::builder().root("/nowhere").register(&scope).unwrap();
    machine.collect();
    let text = machine.text();
    assert!(text.contains("\nnode_load1 0.5\n"), "{text}");
    let errors = "{reason=\"failed\",source=\"host\"} ";
    assert!(text.contains(errors), "{text}");
    scope.remove();
    let before = machine.errors();
    assert_eq!(machine.errors(), before, "nobody asks for what was removed");
}

#[test]
fn this_machine_tells_of_itself() {
    let registry = Registry::new();
    HostCollector::register(&registry).unwrap();
    let read = || Page::read(&encode::text(&registry));
    let first = read();
    let value = |page: &Page, name: &str| page.sum(name, &[]).unwrap_or_else(|| panic!("{name}"));
    let names = ["node_cpu_seconds_total", "node_context_switches_total", "node_forks_total"];
    wait_for("the machine to do something", || {
        let next = read();
        names[..2].iter().all(|name| value(&next, name) > value(&first, name)).then_some(())
    });
    let page = read();
    assert!(value(&page, "node_memory_MemTotal_bytes") > value(&page, "node_memory_MemFree_bytes"));
    assert!(value(&page, "node_boot_time_seconds") > 1e9);
    assert!(value(&page, "node_network_receive_bytes_total") >= 0.0);
    assert_eq!(value(&page, "node_uname_info"), 1.0);
    let cores = page.samples().iter().filter(|sample| {
        sample.name == "node_cpu_seconds_total" && sample.labels["mode"] == "idle"
    });
    assert!(cores.count() >= std::thread::available_parallelism().unwrap().get());
    let age = value(&page, "dynamo_metrics_host_kernel_age_seconds");
    assert!((0.0..60.0).contains(&age), "{age}");
}
