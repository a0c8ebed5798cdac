//! What the programs share: where they listen, when they stop, what they say.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::net::TcpListener;

/// Listens at `address`, which is the value of `option`.
///
/// # Errors
/// If it cannot.
pub async fn bind(option: &str, address: &str) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} (choose another by {option})"))
}

/// Waits until the program is asked to stop: Ctrl-C, or a termination signal.
pub async fn interrupt() {
    use tokio::signal::unix::{SignalKind, signal};

    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Prints `text`; a terminal that is gone is no reason to stop.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
