//! Built-in clients, so that there is something to see at once.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::watch;

use crate::kserve;
use crate::protocol::Protocol;

/// One request in so many is left in the middle, and one asks for what is not there.
const ODD_ONE_IN: u32 = 20;

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) max_tokens: u32,
}

/// Streams answers from `server`, one after another, until told to stop.
pub(crate) async fn client(
    protocol: Protocol,
    server: SocketAddr,
    model: String,
    mut stopped: watch::Receiver<bool>,
) {
    while !*stopped.borrow() {
        let pause = Duration::from_millis(fastrand::u64(20..400));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => break,
        }
        // What fails here shows in the server's own numbers.
        let _ = stream(protocol, server, &model).await;
    }
}

async fn stream(protocol: Protocol, server: SocketAddr, model: &str) -> anyhow::Result<()> {
    let odd = fastrand::u32(..) % ODD_ONE_IN;
    let max_tokens = fastrand::u32(8..80);
    let wish = if odd == 0 {
        // One of the two is wrong in every protocol.
        Wish { model: "no-such-model".to_owned(), prompt: String::new(), max_tokens }
    } else {
        let prompt = "word ".repeat(fastrand::usize(3..60));
        Wish { model: model.to_owned(), prompt, max_tokens }
    };
    let frames = if odd == 1 { fastrand::usize(1..8) } else { usize::MAX };
    let Some((path, json)) = protocol.ask(&wish) else {
        return kserve::stream(server, &wish, frames).await;
    };
    let request = http::Request::post(format!("http://{server}{path}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(json.to_string())))?;
    // A client of its own for each stream: dropping it in the middle closes the connection.
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut answer = client.request(request).await?.into_body();
    for _ in 0..frames {
        let Some(frame) = answer.frame().await else { break };
        frame?;
    }
    Ok(())
}
