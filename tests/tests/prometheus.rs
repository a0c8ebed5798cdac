//! A real Prometheus scrapes the quickstart; promtool and Python's parsers read what it says.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use dynamo_metrics_tests::program::{Program, Quickstart, free_port, get, try_get, wait_for};
use dynamo_metrics_tests::tools::{prometheus_tool, python};
use serde_json::Value;

/// A folder of the story's own, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("dynamo-metrics-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Asks Prometheus, and returns the single number that it answers.
fn query(prometheus: SocketAddr, query: &str) -> Option<f64> {
    let encoded: String = query
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    let path = format!("/api/v1/query?query={encoded}");
    let answer = try_get(prometheus, &path, "application/json").ok()?;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn prometheus_scrapes_it_and_finds_the_time_to_the_first_token() {
    let quickstart = Quickstart::start(&["--load", "3", "--ttft-ms", "150", "--itl-ms", "5"]);
    let folder = Folder::new("prometheus");
    let config = folder.write(
        "prometheus.yml",
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n\
             - job_name: quickstart\n  \
               static_configs: [{{targets: ['{}']}}]\n",
            quickstart.metrics
        ),
    );
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut command = Command::new(prometheus_tool("prometheus"));
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=warn")
        .stdout(Stdio::null());
    let mut prometheus = Program::start(&mut command);

    wait_for("up == 1", || query(address, "up").filter(|&up| up == 1.0));
    let ttft = |q: f64| {
        let histogram = "dynamo_frontend_time_to_first_token_seconds_bucket{model=\"demo\"}";
        let asked = format!("histogram_quantile({q}, sum by (le) (rate({histogram}[10s])))");
        wait_for("a quantile", || query(address, &asked).filter(|value| value.is_finite()))
    };
    let (median, tail) = (ttft(0.5), ttft(0.99));
    // Every sample lies between 112 and 188 ms, so in the bucket from 100 to 220.
    assert!((0.1..=0.47).contains(&median), "{median}");
    assert!(median <= tail && tail <= 1.0, "{tail}");

    let sent = query(address, "sum(dynamo_frontend_requests_total)").unwrap();
    let counted = query(
        address,
        "sum(dynamo_component_request_outcomes_total{dynamo_component=\"frontend\"})",
    );
    assert!(sent > 0.0 && counted.is_some_and(|counted| counted >= sent), "{sent} {counted:?}");

    let targets: Value =
        serde_json::from_str(&get(address, "/api/v1/targets", "application/json")).unwrap();
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "");
    assert!(prometheus.terminate().success());
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

    let checked = Command::new(prometheus_tool("promtool"))
        .args(["check", "metrics"])
        .stdin(fs::File::open(&text_file).unwrap())
        .output()
        .unwrap();
    let said = [checked.stdout, checked.stderr].concat();
    assert!(checked.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));

    let parsed = python("parse_pages.py").args([&text_file, &openmetrics_file]).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let samples: usize = String::from_utf8_lossy(&parsed.stdout).trim().parse().unwrap();
    assert_eq!(samples, text.lines().filter(|line| !line.starts_with('#')).count());
    assert!(samples > 100, "{samples}");
}
