//! What a process uses, told by the process of this very test.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{SystemTime, UNIX_EPOCH};

use dynamo_metrics::collect::ProcessCollector;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden;
use dynamo_metrics_tests::page::Page;

// One story, since what one test does, another one in the same process would see.
#[test]
fn a_process_sees_what_it_does() {
    let registry = Registry::new();
    ProcessCollector::register(&registry).unwrap();
    let value = |name: &str| -> f64 {
        let page = Page::read(&encode::text(&registry));
        page.sum(&format!("process_{name}"), &[]).unwrap_or_else(|| panic!("there is no {name}"))
    };

    golden::check("process.txt", &golden::without_values(&encode::text(&registry)));

    // It works: its time grows, by what is asked of it and no jump.
    let before = value("cpu_seconds_total");
    let mut rounds = 0_u64;
    while value("cpu_seconds_total") < before + 0.05 {
        black_box((0..100_000_u64).fold(rounds, |sum, n| sum ^ n.rotate_left(7)));
        rounds += 1;
    }
    assert!(rounds > 1 && value("cpu_seconds_total") < before + 60.0);

    // It opens files, and closes them.
    let before = value("open_fds");
    let files: Vec<File> = (0..10).map(|_| File::open("/dev/null").unwrap()).collect();
    assert_eq!(value("open_fds"), before + 10.0);
    drop(files);
    assert_eq!(value("open_fds"), before);

    // It starts threads, and ends them.
    let before = value("threads");
    let gate = Barrier::new(6);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                gate.wait();
                gate.wait();
            });
        }
        gate.wait();
        assert_eq!(value("threads"), before + 5.0);
        gate.wait();
    });

    // It takes memory, and uses it.
    let before = value("resident_memory_bytes");
    let memory = vec![1_u8; 64 << 20];
    black_box(&memory);
    let after = value("resident_memory_bytes");
    assert!(after > before + f64::from(48 << 20), "{before} {after}");
    assert!(value("virtual_memory_bytes") >= after);
    assert!(value("virtual_memory_max_bytes") >= value("virtual_memory_bytes"));
    drop(memory);

    // What it is told of its limits, the system says too.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: f64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert_eq!(value("max_fds"), soft);

    // It started a while ago, and once.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let start = value("start_time_seconds");
    assert!(start > now - 3_600.0 && start <= now + 2.0, "{start} {now}");
    assert_eq!(value("start_time_seconds"), start);
}
