//! What the programs share: how they run, where they listen, when they stop, what they say.

use std::io::Write as _;
use std::process::ExitCode;
use std::task::Poll;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a program in a runtime of its own, and says why if it fails.
pub fn exit(name: &str, program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let outcome = Runtime::new()
        .context("cannot start the runtime")
        .and_then(|runtime| runtime.block_on(program));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Listens at `address`, which is the value of `option`.
///
/// # Errors
/// If it cannot.
pub async fn bind(option: &str, address: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} (choose another by {option})"))
}

/// Who asks the program to stop: Ctrl-C, or a termination signal.
#[derive(Debug)]
pub struct Interrupts([Option<Signal>; 2]);

impl Interrupts {
    /// Listens from now on: before anybody is told that the program runs, since until then a signal
    /// ends it at once.
    #[must_use]
    pub fn listen() -> Self {
        let listen = |kind| signal(kind).ok();
        Self([SignalKind::interrupt(), SignalKind::terminate()].map(listen))
    }

    /// Waits until somebody asks.
    pub async fn next(&mut self) {
        std::future::poll_fn(|cx| {
            let asked = self.0.iter_mut().flatten().any(|signal| signal.poll_recv(cx).is_ready());
            if asked { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Prints `text`; a terminal that is gone is no reason to stop.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
