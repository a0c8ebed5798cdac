//! A real Prometheus, for a story.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Program, free_port, get, try_get, wait_for};
use crate::tools::prometheus_tool;

/// A folder of the story's own, gone with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

/// A Prometheus that scrapes one address each second.
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
        let prometheus = Self::launch(name, target, job, arguments);
        wait_for("up == 1", || prometheus.query("up").filter(|&up| up == 1.0));
        prometheus
    }

    /// Starts one that cannot scrape `target`, and waits until it tried.
    ///
    /// # Panics
    /// If it does not come to that.
    #[must_use]
    pub fn start_kept_out(name: &str, target: SocketAddr, job: &str) -> Self {
        let prometheus = Self::launch(name, target, job, &[]);
        wait_for("up == 0", || prometheus.query("up").filter(|&up| up == 0.0));
        prometheus
    }

    fn launch(name: &str, target: SocketAddr, job: &str, arguments: &[&str]) -> Self {
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
        let mut command = Command::new(prometheus_tool("prometheus"));
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.0.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(arguments)
            .arg("--log.level=warn")
            .stdout(Stdio::null());
        let program = Program::start(&mut command);
        Self { program, address, _folder: folder }
    }

    /// Asks, and returns the single number that is the answer.
    ///
    /// # Panics
    /// If the answer is no JSON.
    #[must_use]
    pub fn query(&self, query: &str) -> Option<f64> {
        let encoded: String = query
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
                other => format!("%{other:02X}"),
            })
            .collect();
        let path = format!("/api/v1/query?query={encoded}");
        let answer = try_get(self.address, &path, "application/json").ok()?;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
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
