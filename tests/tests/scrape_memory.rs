//! What a scrape holds: a frame at a time, whatever the size of the page.

use allocation_counter::{AllocationInfo, measure};
use dynamo_metrics::exporter::{Exporter, ExporterBody};
use dynamo_metrics::metric::NativeBuckets;
use dynamo_metrics::registry::Registry;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use tower::Service as _;

/// A frame, with what the last series may add to it.
const FRAME: u64 = 80 * 1024;

fn registry(series: u64) -> Registry {
    let registry = Registry::builder().series_cap(u64::MAX).build();
    let counters = registry.counter("calls_total", "").dynamic_family(["route", "tenant"]).unwrap();
    let waits = registry.histogram("wait_seconds", "").native(NativeBuckets::default());
    let waits = waits.dynamic_family(["route"]).unwrap();
    for i in 0..series {
        let (route, tenant) = (format!("/v1/{i}"), format!("tenant-{}", i % 7));
        counters.with_ref([&route, &tenant], |calls| calls.inc_by(i));
        if i % 50 == 0 {
            waits.with_ref([&route], |waits| waits.observe(0.1));
        }
    }
    registry
}

fn scrape(exporter: &mut Exporter) -> ExporterBody {
    let request = http::Request::get("/metrics?name[]=calls_total&name[]=wait_seconds")
        .body(String::new())
        .unwrap();
    exporter.call(request).now_or_never().unwrap().unwrap().into_body()
}

/// Bytes of the next frame, which is dropped as a connection drops it.
fn next(body: &mut ExporterBody) -> Option<u64> {
    let frame = body.frame().now_or_never().unwrap()?.unwrap();
    Some(frame.into_data().unwrap().len() as u64)
}

/// Scrapes so many times at once, a frame of each in turn; returns frames and bytes of all.
fn at_once(exporter: &mut Exporter, scrapes: usize) -> (u64, u64) {
    let mut bodies: Vec<_> = (0..scrapes).map(|_| scrape(exporter)).collect();
    let (mut frames, mut bytes) = (0, 0);
    while !bodies.is_empty() {
        bodies.retain_mut(|body| {
            let Some(length) = next(body) else { return false };
            frames += 1;
            bytes += length;
            true
        });
    }
    (frames, bytes)
}

fn measured(exporter: &mut Exporter, scrapes: usize) -> (u64, u64, AllocationInfo) {
    at_once(exporter, scrapes);
    let mut seen = (0, 0);
    let info = measure(|| seen = at_once(exporter, scrapes));
    (seen.0, seen.1, info)
}

#[test]
fn a_page_of_any_size_is_held_a_frame_at_a_time() {
    for series in [100, 5_000, 50_000] {
        let mut exporter = Exporter::new(&registry(series));
        let (frames, bytes, info) = measured(&mut exporter, 1);
        assert!(bytes > 50 * series, "{bytes} bytes for {series} series");
        // Two of them while one takes the other's place, and what a walk needs.
        assert!(info.bytes_max < 2 * FRAME + 16 * 1024, "{series}: {info:?}");
        // A frame with its counter of references, and what a walk and each family take.
        assert!(info.count_total < 2 * frames + 100, "{series}, {frames} frames: {info:?}");
        assert_eq!(info.bytes_current, 0, "{series}");
    }
}

#[test]
fn scrapes_at_once_share_everything_but_their_frames() {
    let registry = registry(50_000);
    let mut exporter = Exporter::new(&registry);
    let (frames, bytes, alone) = measured(&mut exporter, 1);
    for scrapes in [2, 8] {
        let (all_frames, all_bytes, info) = measured(&mut exporter, scrapes);
        let times = scrapes as u64;
        assert_eq!((all_frames, all_bytes), (times * frames, times * bytes));
        assert!(info.bytes_max <= times * alone.bytes_max, "{scrapes}: {info:?}, one {alone:?}");
        // Far less than a page, of which there are so many.
        assert!(info.bytes_max < bytes / 3, "{scrapes}: {info:?}, a page {bytes}");
    }
}
