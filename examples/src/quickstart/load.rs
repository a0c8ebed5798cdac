//! Built-in clients, so that there is something to see at once.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::sync::watch;

/// One request in so many is left in the middle, and one asks for a model that is not there.
const ODD_ONE_IN: u32 = 20;

/// Streams chats from `server`, one after another, until told to stop.
pub(crate) async fn client(server: SocketAddr, model: String, mut stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        let pause = Duration::from_millis(fastrand::u64(20..400));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = stopped.changed() => break,
        }
        // What fails here shows in the server's own numbers.
        let _ = chat(server, &model).await;
    }
}

async fn chat(server: SocketAddr, model: &str) -> anyhow::Result<()> {
    let odd = fastrand::u32(..) % ODD_ONE_IN;
    let words = fastrand::usize(3..60);
    let body = json!({
        "model": if odd == 0 { "no-such-model" } else { model },
        "messages": [{"role": "user", "content": "word ".repeat(words)}],
        "max_tokens": fastrand::u32(8..80),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let request = http::Request::post(format!("http://{server}/v1/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?;
    // A client of its own for each chat: dropping it in the middle closes the connection.
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut answer = client.request(request).await?.into_body();
    let mut frames_left = if odd == 1 { fastrand::usize(1..8) } else { usize::MAX };
    while let Some(frame) = answer.frame().await {
        frame?;
        frames_left -= 1;
        if frames_left == 0 {
            break;
        }
    }
    Ok(())
}
