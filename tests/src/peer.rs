//! Other processes' metrics servers, as well or as badly behaved as a story wants them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::program::{Program, free_port, try_get, wait_for};
use crate::tools::python;

/// The type of a page in the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a page of OpenMetrics.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The type of a page in the protobuf format.
pub const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes.
    Send(Vec<u8>),
    /// These bytes, one a second by tokio's clock.
    Drip(Vec<u8>),
    /// These bytes again and again, until nobody takes them any more.
    Endless(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// The end of the connection, by a reset.
    Reset,
}

/// A server that answers every request by the same steps, and then closes the connection.
#[derive(Debug)]
pub struct Peer {
    /// Where it listens.
    pub address: SocketAddr,
    heads: watch::Receiver<Vec<String>>,
    task: JoinHandle<()>,
}

/// A Python process with `prometheus_client`.
#[derive(Debug)]
pub struct Engine {
    port: u16,
    _program: Program,
}

impl Peer {
    /// Starts one.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn start(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps: Arc<[Step]> = steps.into_iter().collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, heads) = watch::channel(Vec::new());
        let asked = Arc::new(asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&steps), Arc::clone(&asked)));
            }
        });
        Self { address, heads, task }
    }

    /// Starts one that has a page.
    ///
    /// # Panics
    /// If it cannot listen.
    pub async fn page(content_type: &str, page: impl AsRef<[u8]>) -> Self {
        Self::start([Step::Send(ok(content_type, page))]).await
    }

    /// The URL of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.heads.borrow().clone()
    }

    /// Waits until it was asked so often.
    ///
    /// # Panics
    /// If it is gone.
    pub async fn asked(&self, times: usize) {
        self.heads.clone().wait_for(|heads| heads.len() >= times).await.unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    /// Starts one, and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        Self::start_at(free_port())
    }

    /// The same, at a port.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_at(port: u16) -> Self {
        let mut command = python("engine.py");
        let program = Program::start(command.arg(port.to_string()).stdout(Stdio::null()));
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_for("the engine", || try_get(address, "/metrics", "text/plain").ok());
        Self { port, _program: program }
    }

    /// The URL of its page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    /// Its own page, in the text format.
    #[must_use]
    pub fn text(&self) -> String {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        crate::program::get(address, "/metrics", "text/plain")
    }

    /// Kills it; another one may have its port.
    #[must_use]
    pub fn kill(self) -> u16 {
        self.port
    }
}

/// The bytes of an answer that has a page.
#[must_use]
pub fn ok(content_type: &str, page: impl AsRef<[u8]>) -> Vec<u8> {
    let page = page.as_ref();
    let mut answer =
        head(&format!("content-type: {content_type}\r\ncontent-length: {}", page.len()));
    answer.extend_from_slice(page);
    answer
}

/// The bytes of a head with status 200 and these lines.
#[must_use]
pub fn head(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{lines}\r\n\r\n").into_bytes()
}

async fn answer(mut stream: TcpStream, steps: Arc<[Step]>, asked: Arc<watch::Sender<Vec<String>>>) {
    let mut read = Vec::new();
    while !read.windows(4).any(|end| end == b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut read).await, Ok(1..)) {
            return;
        }
    }
    asked.send_modify(|heads| heads.push(String::from_utf8_lossy(&read).into_owned()));
    for step in &*steps {
        let sent = match step {
            Step::Send(bytes) => stream.write_all(bytes).await,
            Step::Drip(bytes) => drip(&mut stream, bytes).await,
            Step::Endless(bytes) => loop {
                if let Err(error) = stream.write_all(bytes).await {
                    break Err(error);
                }
            },
            Step::Hang => std::future::pending().await,
            // What is unread or unsent when a socket closes without lingering is answered so.
            Step::Reset => stream.set_zero_linger(),
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
