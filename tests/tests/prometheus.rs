//! A real Prometheus scrapes us; promtool and Python's parsers read what we say.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use dynamo_metrics::exporter::{Exporter, Guard};
use dynamo_metrics::metric::NativeBuckets;
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::program::{Quickstart, get, wait_for};
use dynamo_metrics_tests::prometheus::{Folder, Prometheus};
use dynamo_metrics_tests::tools::{python, tool};

/// Serves for as long as the story takes.
fn serve(exporter: &Exporter) -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(exporter.bind("127.0.0.1:0")).unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || runtime.block_on(server.serve(std::future::pending())));
    address
}

#[test]
fn prometheus_scrapes_it_and_finds_the_time_to_the_first_token() {
    let quickstart = Quickstart::start(&["--load", "3", "--ttft-ms", "150", "--itl-ms", "5"]);
    let prometheus = Prometheus::start("plain", quickstart.metrics, &[]);
    let ttft = |q: f64| {
        let histogram = "dynamo_frontend_time_to_first_token_seconds_bucket{model=\"demo\"}";
        let asked = format!("histogram_quantile({q}, sum by (le) (rate({histogram}[10s])))");
        wait_for("a quantile", || prometheus.query(&asked).filter(|value| value.is_finite()))
    };
    let (median, tail) = (ttft(0.5), ttft(0.99));
    // Every sample lies between 112 and 188 ms, so in the bucket from 100 to 220.
    assert!((0.1..=0.47).contains(&median), "{median}");
    assert!(median <= tail && tail <= 1.0, "{tail}");

    let sent = prometheus.query("sum(dynamo_frontend_requests_total)").unwrap();
    let counted = prometheus
        .query("sum(dynamo_component_request_outcomes_total{dynamo_component=\"frontend\"})");
    assert!(sent > 0.0 && counted.is_some_and(|counted| counted >= sent), "{sent} {counted:?}");

    assert_eq!(prometheus.last_error(), "");
    assert!(prometheus.terminate());
    assert!(quickstart.terminate().0.success());
}

#[test]
fn promtool_and_python_find_nothing_wrong() {
    let quickstart = Quickstart::start(&["--load", "0", "--ttft-ms", "1", "--itl-ms", "1"]);
    let mut chat = python("openai_client.py");
    let chatted =
        chat.args([&format!("http://{}/v1", quickstart.server), "brief"]).output().unwrap();
    assert!(chatted.status.success(), "{}", String::from_utf8_lossy(&chatted.stderr));
    let _ = quickstart.page_at_rest();

    let folder = Folder::new("promtool");
    let text = quickstart.text();
    let openmetrics = get(quickstart.metrics, "/metrics", "application/openmetrics-text");
    assert!(openmetrics.ends_with("# EOF\n"));
    let text_file = folder.write("text", &text);
    let openmetrics_file = folder.write("openmetrics", &openmetrics);

    let checked = Command::new(tool("prometheus", "promtool"))
        .args(["check", "metrics"])
        .stdin(fs::File::open(&text_file).unwrap())
        .output()
        .unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    // The kernel's own words for its memory have big letters, and node_exporter's names have them too.
    let is_known = |line: &&str| line.starts_with("node_memory_") && line.ends_with("'camelCase'");
    let faults: Vec<&str> = said.lines().filter(|line| !is_known(line)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(checked.status.success() || !said.is_empty(), "it checked nothing: {}", checked.status);

    let parsed = python("parse_pages.py").args([&text_file, &openmetrics_file]).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let samples: usize = String::from_utf8_lossy(&parsed.stdout).trim().parse().unwrap();
    assert_eq!(samples, text.lines().filter(|line| !line.starts_with('#')).count());
    assert!(samples > 100, "{samples}");
}

#[test]
fn quantiles_of_native_buckets_agree_with_those_of_classic_ones() {
    let registry = Registry::new();
    let bounds: Vec<f64> = (0..80).map(|i| 0.01 * 1.1_f64.powi(i)).collect();
    let waits = registry.histogram("wait_seconds", "Waits.").unit(Unit::Seconds);
    let waits = waits.buckets(bounds).native(NativeBuckets::default()).register().unwrap();
    // From nothing at all to past the range: both ends have buckets of their own.
    for i in 0..1_000 {
        waits.observe(0.02 * 1.007_f64.powi(i));
    }
    waits.observe(0.0);
    waits.observe(1e6);
    registry.counter("calls_total", "Calls.").register().unwrap().inc_by(7);
    let address = serve(&Exporter::new(&registry));

    let classic = Prometheus::start("classic", address, &[]);
    let native = Prometheus::start("native", address, &["--enable-feature=native-histograms"]);
    let count = |prometheus: &Prometheus, query| wait_for(query, || prometheus.query(query));
    assert_eq!(count(&classic, "wait_seconds_count"), 1_002.0);
    assert_eq!(count(&native, "histogram_count(wait_seconds)"), 1_002.0);
    assert_eq!(count(&native, "calls_total"), 7.0);
    let sums = (count(&classic, "wait_seconds_sum"), count(&native, "histogram_sum(wait_seconds)"));
    assert_eq!(sums.0, sums.1);
    for q in ["0.1", "0.5", "0.9", "0.95"] {
        let by_classic = format!("histogram_quantile({q}, wait_seconds_bucket)");
        let by_native = format!("histogram_quantile({q}, wait_seconds)");
        let (one, other) = (
            wait_for(&by_classic, || classic.query(&by_classic)),
            wait_for(&by_native, || native.query(&by_native)),
        );
        // A bucket of either is at most a tenth wide.
        assert!((one / other).ln().abs() < 1.1_f64.ln(), "{q}: {one} and {other}");
        assert!((one / waits.snapshot().quantile(q.parse().unwrap()).unwrap() - 1.0).abs() < 1e-6);
    }
    assert_eq!((classic.last_error(), native.last_error()), (String::new(), String::new()));
    assert!(classic.terminate() && native.terminate());
}

#[test]
fn prometheus_comes_in_with_a_password_through_tls_and_others_stay_out() {
    let registry = Registry::new();
    registry.gauge("secret_number", "").register().unwrap().set(42);
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = Folder::new("guarded");
    let cert_file = folder.write("cert.pem", &cert.pem());
    let _ = folder.write("key.pem", &signing_key.serialize_pem());
    // The hash of `U*U`, from the tests of bcrypt's reference implementation.
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let web = format!(
        "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n\
         basic_auth_users:\n  ann: {hash}\n"
    );
    let guard = Guard::from_file(folder.write("web.yml", &web)).unwrap();
    let address = serve(&Exporter::new(&registry).guard(guard));

    let job = |password: &str| {
        format!(
            "  scheme: https\n  tls_config: {{ca_file: '{}'}}\n  \
             basic_auth: {{username: ann, password: '{password}'}}\n",
            cert_file.display()
        )
    };
    let prometheus = Prometheus::start_with("let-in", address, &job("U*U"), &[]);
    let seen = wait_for("the number", || prometheus.query("secret_number"));
    assert_eq!((seen, prometheus.last_error()), (42.0, String::new()));
    assert!(prometheus.terminate());
    for (name, job, error) in
        [("wrong", job("U*V"), "401 Unauthorized"), ("plain", String::new(), "EOF")]
    {
        let prometheus = Prometheus::start_kept_out(name, address, &job);
        let said =
            wait_for("an error", || Some(prometheus.last_error()).filter(|it| !it.is_empty()));
        assert!(said.contains(error) || name == "plain", "{said}");
        assert!(prometheus.terminate());
    }
}
