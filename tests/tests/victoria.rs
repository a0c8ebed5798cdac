//! A real VictoriaMetrics scrapes us, and says what we said.

use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::wait_for;
use dynamo_metrics_tests::prometheus::Prometheus;

/// Values of a label that a reader may get wrong.
const ODD: [&str; 8] = [
    "\"quoted\"",
    "back\\slash",
    "line\nfeed",
    "\\n",
    "a=\"b\",c=\"d\"} 7",
    "größe 🦀 日本",
    " spaces\tand tabs ",
    "# HELP x",
];

#[test]
fn victoria_metrics_scrapes_it_and_says_the_same() {
    let registry = Registry::new();
    registry.counter("calls_total", "Calls, \\ and \n \"more\".").register().unwrap().inc_by(7);
    registry.float_counter("work_seconds_total", "").register().unwrap().inc_by(0.25);
    registry.gauge("level", "").register().unwrap().set(-3);
    let ratios = registry.float_gauge("ratio", "").dynamic_family(["of"]).unwrap();
    for (of, value) in [("nothing", f64::NAN), ("all", f64::INFINITY), ("little", 1e-12)] {
        ratios.with_ref([of], |ratio| ratio.set(value));
    }
    let odd = registry.counter("odd_total", "").dynamic_family(["number", "text"]).unwrap();
    for (number, text) in ODD.iter().enumerate() {
        odd.with_ref([&number.to_string(), *text], |odd| odd.inc_by(number as u64 + 1));
    }
    let waits = registry.histogram("wait_seconds", "Waits.").unit(Unit::Seconds);
    let waits = waits.buckets((1..=100).map(f64::from)).register().unwrap();
    for wait in 0..1_000 {
        waits.observe(0.05 + f64::from(wait) / 10.0);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Exporter::new(&registry).bind("127.0.0.1:0")).unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        std::thread::spawn(move || runtime.block_on(server.serve(async { drop(stopped.await) })));

    let victoria = Prometheus::start_victoria("victoria", address);
    let value = |query: &str| wait_for(query, || victoria.query(query));
    for (query, expected) in [
        ("calls_total", 7.0),
        ("work_seconds_total", 0.25),
        ("level", -3.0),
        ("ratio{of=\"all\"}", f64::INFINITY),
        ("ratio{of=\"little\"}", 1e-12),
        ("wait_seconds_count", 1_000.0),
        ("wait_seconds_bucket{le=\"+Inf\"}", 1_000.0),
        ("wait_seconds_bucket{le=\"5\"}", 50.0),
        ("count(wait_seconds_bucket)", 101.0),
    ] {
        assert_eq!(value(query), expected, "{query}");
    }
    assert!((value("wait_seconds_sum") - waits.snapshot().sum()).abs() < 1e-9);
    for q in ["0.1", "0.5", "0.99"] {
        let ours = waits.snapshot().quantile(q.parse().unwrap()).unwrap();
        let theirs = value(&format!("histogram_quantile({q}, wait_seconds_bucket)"));
        assert!((theirs / ours - 1.0).abs() < 1e-9, "{q}: {theirs} and {ours}");
    }
    for (number, text) in ODD.iter().enumerate() {
        let query = format!("odd_total{{number=\"{number}\"}}");
        assert_eq!(value(&query), number as f64 + 1.0);
        assert_eq!(victoria.labels(&query).unwrap()["text"], *text);
    }
    assert_eq!(victoria.last_error(), "");
    assert!(victoria.terminate());

    // It takes the text format, compressed or not, and no other.
    let page = Page::read(&dynamo_metrics::encode::text(&registry));
    let scrapes = |labels: &[_]| page.sum("dynamo_metrics_exporter_scrapes_total", labels);
    let text = scrapes(&[("format", "text"), ("status", "complete")]);
    assert!(text.is_some() && text == scrapes(&[]), "{text:?} of {:?}", scrapes(&[]));
    drop(stop);
    serving.join().unwrap();
}
