//! A real Prometheus, for a story, or a VictoriaMetrics, which is asked in the same way.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Program, free_port, get, try_get, wait_for};
use crate::tools::tool;

/// A folder of the story's own, gone with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

/// A Prometheus, or what answers as one, that scrapes one address each second.
#[derive(Debug)]
pub struct Prometheus {
    program: Program,
    address: SocketAddr,
    _folder: Folder,
}

impl Folder {
    /// Makes an empty folder.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("dynamo-metrics-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file.
    ///
    /// # Panics
    /// If it cannot.
    #[must_use]
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
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

impl Prometheus {
    /// Starts one that scrapes `target`, with more arguments if any, and waits until it did.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start(name: &str, target: SocketAddr, arguments: &[&str]) -> Self {
        Self::start_with(name, target, "", arguments)
    }

    /// The same, with more lines for the job, indented by two.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start_with(name: &str, target: SocketAddr, job: &str, arguments: &[&str]) -> Self {
        Self::launch(name, target, job, &prometheus(arguments)).when_up(1.0)
    }

    /// Starts a VictoriaMetrics that scrapes `target`, and waits until it did.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start_victoria(name: &str, target: SocketAddr) -> Self {
        Self::launch(name, target, "", &victoria).when_up(1.0)
    }

    /// Starts one that cannot scrape `target`, and waits until it tried.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start_kept_out(name: &str, target: SocketAddr, job: &str) -> Self {
        Self::launch(name, target, job, &prometheus(&[])).when_up(0.0)
    }

    fn launch(
        name: &str,
        target: SocketAddr,
        job: &str,
        command: &dyn Fn(&Path, &Path, SocketAddr) -> Command,
    ) -> Self {
        let folder = Folder::new(name);
        let config = folder.write(
            "prometheus.yml",
            &format!(
                "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
                 scrape_configs:\n\
                 - job_name: story\n  static_configs: [{{targets: ['{target}']}}]\n{job}"
            ),
        );
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = command(&config, &folder.0.join("data"), address);
        let program = Program::start(command.stdout(Stdio::null()));
        Self { program, address, _folder: folder }
    }

    fn when_up(self, wanted: f64) -> Self {
        wait_for("the first scrape", || self.query("up").filter(|&up| up == wanted));
        self
    }

    /// Asks, and returns the single number that is the answer.
    ///
    /// # Panics
    /// If the answer is no JSON.
    #[must_use]
    pub fn query(&self, query: &str) -> Option<f64> {
        self.series(query)?["value"][1].as_str()?.parse().ok()
    }

    /// Asks, and returns the labels of the single series that is the answer.
    ///
    /// # Panics
    /// If the answer is no JSON.
    #[must_use]
    pub fn labels(&self, query: &str) -> Option<Value> {
        Some(self.series(query)?["metric"].take())
    }

    fn series(&self, query: &str) -> Option<Value> {
        let encoded: String = query
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        let path = format!("/api/v1/query?query={encoded}");
        let answer = try_get(self.address, &path, "application/json").ok()?;
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        Some(answer["data"]["result"].get_mut(0)?.take())
    }

    /// What it says of the last scrape; empty if that went well.
    ///
    /// # Panics
    /// If the answer is no JSON.
    #[must_use]
    pub fn last_error(&self) -> String {
        let targets = get(self.address, "/api/v1/targets", "application/json");
        let targets: Value = serde_json::from_str(&targets).unwrap();
        targets["data"]["activeTargets"][0]["lastError"].as_str().unwrap().to_owned()
    }

    /// Asks it to end; whether it did so well.
    ///
    /// # Panics
    /// If it does not end.
    #[must_use]
    pub fn terminate(mut self) -> bool {
        self.program.terminate().success()
    }
}

/// How a Prometheus is started, with its configuration, its data and its address.
fn prometheus(arguments: &[&str]) -> impl Fn(&Path, &Path, SocketAddr) -> Command {
    move |config, data, address| {
        let mut command = Command::new(tool("prometheus", "prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .arg("--log.level=warn");
        command
    }
}

/// How a VictoriaMetrics is started.
fn victoria(config: &Path, data: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(tool("victoria-metrics", "victoria-metrics"));
    command
        .arg(format!("-promscrape.config={}", config.display()))
        .arg(format!("-storageDataPath={}", data.display()))
        .arg(format!("-httpListenAddr={address}"))
        // Else what was scraped is shown half a minute later.
        .args(["-search.latencyOffset=1ms", "-memory.allowedBytes=64MB", "-loggerLevel=WARN"]);
    command
}
