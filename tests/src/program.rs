//! Programs that are started for a story, and stopped with it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::marker::PhantomData;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::page::Page;
use crate::tools::{python, workspace_program};

/// Longest wait for anything that a program does.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is stopped when this is dropped.
#[derive(Debug)]
pub struct Program(Child);

/// A program of the workspace that serves and shows metrics, each at a port of its own.
#[derive(Debug)]
pub struct Server<P> {
    program: Program,
    /// Where it serves.
    pub server: SocketAddr,
    /// Where it serves metrics.
    pub metrics: SocketAddr,
    /// What it said at its start.
    pub greeting: String,
    output: mpsc::Receiver<String>,
    which: PhantomData<P>,
}

/// The quickstart: a model server.
pub type Quickstart = Server<IsQuickstart>;

/// The proxy: what measures others' model servers.
pub type Proxy = Server<IsProxy>;

/// Which program a [`Server`] is.
pub trait Which {
    /// The name of the program.
    const NAME: &'static str;
}

/// Says that a server is the quickstart.
#[derive(Debug)]
pub enum IsQuickstart {}

/// Says that a server is the proxy.
#[derive(Debug)]
pub enum IsProxy {}

impl Which for IsQuickstart {
    const NAME: &'static str = "quickstart";
}

impl Which for IsProxy {
    const NAME: &'static str = "proxy";
}

impl Program {
    /// Starts `command`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Asks the program to end, and waits until it did.
    ///
    /// # Panics
    /// If it does not end.
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.is_ok_and(|status| status.success()), "cannot signal {pid}");
        self.wait()
    }

    /// Waits until the program ended.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the program to end", || self.0.try_wait().ok().flatten())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl<P: Which> Server<P> {
    /// Starts it with these arguments, and waits until it says where it listens.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(workspace_program(P::NAME));
        command
            .args(["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped());
        let mut program = Program::start(&mut command);
        let stdout = program.0.stdout.take();
        let (lines, output) = mpsc::channel();
        std::thread::spawn(move || {
            let read = stdout.map(BufReader::new).into_iter().flat_map(BufReader::lines);
            for line in read.map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let mut said = String::new();
        let (server, metrics) = loop {
            let line = output.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it said {said:?}"));
            said.push_str(&line);
            said.push('\n');
            let address = |after: &str, until: char| -> Option<SocketAddr> {
                said.split(after).nth(1)?.split(until).next()?.parse().ok()
            };
            if let (Some(server), Some(metrics)) =
                (address("server at http://", ','), address("Prometheus at ", ';'))
            {
                break (server, metrics);
            }
        };
        Self { program, server, metrics, greeting: said, output, which: PhantomData }
    }

    /// What the Python client `script` saw of this server, told as JSON.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    pub fn ask_with(&self, script: &str, mode: &str) -> Value {
        let server = format!("http://{}", self.server);
        let output = python(script).args([&server, mode]).output();
        let output = output.unwrap_or_else(|error| panic!("cannot start {script}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} {mode}: {said}");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{script} {mode} told no JSON: {error}; {said}"))
    }

    /// The page of metrics, as text.
    #[must_use]
    pub fn text(&self) -> String {
        get(self.metrics, "/metrics", "text/plain")
    }

    /// The page of metrics.
    #[must_use]
    pub fn page(&self) -> Page {
        Page::read(&self.text())
    }

    /// The page of metrics, once nothing is in flight any more.
    ///
    /// # Panics
    /// If something stays in flight.
    #[must_use]
    pub fn page_at_rest(&self) -> Page {
        wait_for("in-flight to fall to zero", || {
            let page = self.page();
            let names = ["component", "frontend", "upstream"];
            let open = |name| page.sum(&format!("dynamo_{name}_inflight_requests"), &[]);
            // Not every protocol has a frontend's account by model, and only the proxy has upstreams.
            names.map(open).iter().all(|open| open.unwrap_or(0.0) == 0.0).then_some(page)
        })
    }

    /// Waits until it says a line with `text`, and returns that with the two lines before it.
    ///
    /// # Panics
    /// If it does not say it.
    #[must_use]
    pub fn wait_to_say(&self, text: &str) -> String {
        let mut last = Vec::new();
        loop {
            let line = self.output.recv_timeout(PATIENCE);
            last.push(line.unwrap_or_else(|_| panic!("it did not say {text:?} after {last:?}")));
            if last[last.len() - 1].contains(text) {
                return last[last.len().saturating_sub(3)..].join("\n");
            }
        }
    }

    /// Asks it to end, waits until it did, and returns all that it said since the start.
    pub fn terminate(mut self) -> (ExitStatus, String) {
        let status = self.program.terminate();
        (status, self.output.iter().collect::<Vec<_>>().join("\n"))
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.program.wait()
    }
}

/// Asks until there is an answer.
///
/// # Panics
/// If there is none in time.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.unwrap_or_else(|error| panic!("no free port: {error}")).port()
}

/// The body of an answer to a `GET`, read to the end of the connection.
///
/// # Panics
/// If there is no answer, or none with status 200.
#[must_use]
pub fn get(address: SocketAddr, path: &str, accept: &str) -> String {
    try_get(address, path, accept).unwrap_or_else(|why| panic!("{address}{path}: {why}"))
}

/// The same, where there may be no answer yet.
///
/// # Errors
/// Why there is none.
pub fn try_get(address: SocketAddr, path: &str, accept: &str) -> Result<String, String> {
    let (status, body) =
        exchange(address, &format!("GET {path}"), &format!("accept: {accept}"), b"")?;
    if status == 200 { Ok(body) } else { Err(format!("{status}: {body}")) }
}

/// The status and the body of an answer to `request`, as `GET /metrics`, whatever they are.
///
/// # Errors
/// Why there is none.
pub fn exchange(
    address: SocketAddr,
    request: &str,
    header: &str,
    body: &[u8],
) -> Result<(u16, String), String> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        // HTTP/1.0: the answer is not chunked, and ends with the connection.
        write!(
            stream,
            "{request} HTTP/1.0\r\nhost: {address}\r\n{header}\r\ncontent-length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    let parts = answer.split_once("\r\n\r\n");
    let read = parts
        .and_then(|(head, body)| Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned())));
    read.ok_or(answer)
}
