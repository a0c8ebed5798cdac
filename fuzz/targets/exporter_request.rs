#![no_main]
//! Sends the bytes to an exporter as a client does, and looks at what comes back.

use std::sync::OnceLock;
use std::time::Duration;

use dynamo_metrics::exporter::{Backends, Exporter, Pushes};
use dynamo_metrics::foreign::Limits;
use dynamo_metrics::registry::Registry;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::runtime::{Builder, Runtime};

struct Door {
    registry: Registry,
    exporter: Exporter,
    runtime: Runtime,
}

/// A scrape of all formats takes less; a request that hangs would take for ever.
const PATIENCE: Duration = Duration::from_secs(600);

fn door() -> &'static Door {
    static DOOR: OnceLock<Door> = OnceLock::new();
    DOOR.get_or_init(|| {
        let registry = Registry::new();
        let calls = registry.counter("calls_total", "Calls.").dynamic_family(["by"]).unwrap();
        calls.with(["somebody \"else\""]).inc();
        registry.histogram("wait_seconds", "").buckets([0.1, 1.0]).register().unwrap().observe(0.5);
        let limits = Limits::default().series(100).families(20);
        let exporter = Exporter::new(&registry)
            .accept_pushes(&Pushes::new(&registry).most(3).limits(limits))
            // Taking none, since what is taken would be fetched.
            .accept_backends(&Backends::new(&registry).most(0));
        // Time goes on by itself when nothing else is to be done.
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        Door { registry, exporter, runtime }
    })
}

libfuzzer_sys::fuzz_target!(|said: &[u8]| {
    let Door { registry, exporter, runtime } = door();
    let answer = runtime.block_on(async {
        let (mut client, server) = duplex(4096);
        let serving = exporter.serve_connection(server);
        let (mut from, mut to) = tokio::io::split(&mut client);
        let speaking = async {
            let _ = to.write_all(said).await;
            let _ = to.shutdown().await;
        };
        let mut answer = Vec::new();
        let listening = async { from.read_to_end(&mut answer).await };
        let all = async { tokio::join!(serving, speaking, listening) };
        tokio::time::timeout(PATIENCE, all).await.expect("it answers, or closes");
        answer
    });
    // It speaks HTTP or nothing, and nothing that it was told breaks its own page.
    let is_http = [&b"HTTP/1."[..], b"\0"].iter().any(|start| answer.starts_with(start));
    assert!(answer.is_empty() || is_http, "{:?}", String::from_utf8_lossy(&answer));
    let page = dynamo_metrics::encode::openmetrics(registry);
    assert!(page.contains("\ncalls_total{by=\"somebody \\\"else\\\"\"} 1\n"));
    let parsed = dynamo_metrics::foreign::parse(
        page.as_bytes(),
        dynamo_metrics::foreign::Format::OpenMetrics,
        &Limits::default(),
    );
    assert!(parsed.faults.is_empty(), "{:?}", parsed.faults);
});
