//! What a program allocates, told by the allocator of this very test.

use std::alloc::System;

use dynamo_metrics::collect::{AllocatorCollector, CountingAllocator};
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::golden;
use dynamo_metrics_tests::page::Page;

#[global_allocator]
static ALLOCATOR: CountingAllocator<System> = CountingAllocator::new(System);

const BLOCK: usize = 1 << 20;

// One story, since every test of the process would be counted.
#[test]
fn a_program_sees_what_it_allocates() {
    let registry = Registry::new();
    AllocatorCollector::register(&registry).unwrap();
    let value = |name: &str| -> f64 {
        let page = Page::read(&encode::text(&registry));
        page.sum(&format!("allocator_{name}"), &[]).unwrap()
    };
    golden::check("allocator.txt", &golden::without_values(&encode::text(&registry)));

    let (live, blocks) = (value("live_bytes"), value("allocations_total"));
    let all = 16 * BLOCK;
    // In threads that end before their blocks do, which others give back.
    let held: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| vec![0_u8; BLOCK])).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let grown = value("live_bytes") - live;
    assert!((grown - all as f64).abs() < 1e6, "{grown}");
    assert!(value("allocations_total") >= blocks + 16.0);

    // Blocks that grow and shrink count with the size that they have.
    let mut held: Vec<u8> = held.into_iter().flatten().collect();
    held.shrink_to_fit();
    let grown = value("live_bytes") - live;
    assert!((grown - all as f64).abs() < 1e6, "{grown}");

    drop(held);
    let grown = value("live_bytes") - live;
    assert!(grown.abs() < 1e6, "{grown}");
    let page = Page::read(&encode::text(&registry));
    let sum = |name| page.sum(name, &[]).unwrap();
    assert!(sum("allocator_deallocations_total") <= sum("allocator_allocations_total"));
    assert_eq!(
        sum("allocator_allocated_bytes_total") - sum("allocator_deallocated_bytes_total"),
        sum("allocator_live_bytes")
    );
}
