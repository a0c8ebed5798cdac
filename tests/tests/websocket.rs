//! Web sockets as axum serves them, over HTTP/1.1 and HTTP/2: the request ends with its handshake, and
//! the socket lives on by a guard.

mod served;

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{self, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use bytes::Bytes;
use dynamo_metrics::encode;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::counts::Counts;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::{ConnectionGuard, ConnectionMetrics, MetricsLayer};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::served::{PATIENCE, layer, serve};

/// A measured server of web sockets that say what they are told.
struct Sockets {
    registry: Registry,
    layer: MetricsLayer,
    open: ConnectionMetrics,
    address: SocketAddr,
}

impl Sockets {
    async fn start() -> Self {
        let (registry, layer) = layer();
        let scope = registry.namespace("test").component("api").endpoint("ws");
        let open = ConnectionMetrics::register(&scope).unwrap();
        let opened = open.clone();
        let upgrade = move |asked: WebSocketUpgrade| {
            let guard = opened.open();
            ready(asked.on_upgrade(|socket| echo(socket, guard)))
        };
        let address = serve(Router::new().route("/ws", any(upgrade)).layer(layer.clone())).await;
        Self { registry, layer, open, address }
    }

    async fn over_http1(&self) -> WebSocketStream<TcpStream> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let asked = tokio_tungstenite::client_async("ws://test/ws", socket);
        let (client, answer) = asked.await.unwrap();
        assert_eq!(answer.status(), 101);
        client
    }

    async fn over_http2(&self) -> WebSocketStream<TokioIo<Upgraded>> {
        let socket = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), socket).await.unwrap();
        // The server's first frame says that it takes such a CONNECT; a task of its own reads it.
        let told = async {
            while !connection.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("http://test/ws")
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new());
        let mut answer = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        let socket = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
        let role = tokio_tungstenite::tungstenite::protocol::Role::Client;
        WebSocketStream::from_raw_socket(socket, role, None).await
    }

    fn sum(&self, name: &str) -> f64 {
        let page = Page::read(&encode::text(&self.registry));
        page.sum(&format!("dynamo_component_{name}"), &[]).unwrap()
    }

    /// The one request has ended well, its duration is told, and the socket is no part of that.
    fn assert_open(&self) {
        let counts = Counts::of_all(&encode::text(&self.registry));
        assert!(counts.is_settled(), "{counts:?}");
        assert_eq!(counts.outcomes, [("success", 1.0)]);
        assert_eq!(self.sum("request_duration_seconds_count"), 1.0);
        assert_eq!((self.sum("connections_active"), self.open.active()), (1.0, 1));
        assert_eq!(self.sum("connection_duration_seconds_count"), 0.0);
    }

    /// Waits for the end of the socket's task, and sees that only the socket has changed.
    async fn assert_closes(&self) {
        let closed = async {
            while self.open.active() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.unwrap();
        assert_eq!(self.sum("connections_opened_total"), 1.0);
        assert_eq!(self.sum("connection_duration_seconds_count"), 1.0);
        assert_eq!(self.sum("request_duration_seconds_count"), 1.0);
        assert_eq!(self.sum("requests_total"), 1.0);
    }
}

/// Says what it is told, until the socket or its client ends.
async fn echo(mut socket: WebSocket, _open: ConnectionGuard) {
    while let Some(Ok(message)) = socket.recv().await {
        if let ws::Message::Text(text) = message {
            assert!(text != "panic", "as it is told");
            socket.send(ws::Message::Text(text)).await.unwrap();
        }
    }
}

/// Says a word, and hears it.
async fn speak<S: AsyncRead + AsyncWrite + Unpin>(client: &mut WebSocketStream<S>) {
    client.send(Message::text("hello")).await.unwrap();
    let heard = tokio::time::timeout(PATIENCE, client.next()).await.unwrap();
    assert_eq!(heard.unwrap().unwrap(), Message::text("hello"));
}

/// A socket is opened, used, and closed by its client.
async fn live<S: AsyncRead + AsyncWrite + Unpin>(
    sockets: &Sockets,
    mut client: WebSocketStream<S>,
) {
    speak(&mut client).await;
    sockets.assert_open();
    // A socket is no body, so nobody waits for it.
    tokio::time::timeout(PATIENCE, sockets.layer.drain()).await.unwrap();
    speak(&mut client).await;
    client.close(None).await.unwrap();
    sockets.assert_closes().await;
}

#[tokio::test]
async fn http1_a_socket_is_no_request_after_its_101() {
    let sockets = Sockets::start().await;
    live(&sockets, sockets.over_http1().await).await;
}

#[tokio::test]
async fn http2_a_socket_is_no_request_after_its_200() {
    let sockets = Sockets::start().await;
    live(&sockets, sockets.over_http2().await).await;
}

#[tokio::test]
async fn a_socket_whose_client_vanishes_is_closed() {
    for http2 in [false, true] {
        let sockets = Sockets::start().await;
        if http2 {
            let mut client = sockets.over_http2().await;
            speak(&mut client).await;
        } else {
            let mut client = sockets.over_http1().await;
            speak(&mut client).await;
        }
        sockets.assert_closes().await;
    }
}

#[tokio::test]
async fn a_socket_whose_task_panics_is_closed_and_its_request_stays_a_success() {
    let sockets = Sockets::start().await;
    let mut client = sockets.over_http1().await;
    client.send(Message::text("panic")).await.unwrap();
    sockets.assert_closes().await;
    let counts = Counts::of_all(&encode::text(&sockets.registry));
    assert_eq!(counts.outcomes, [("success", 1.0)]);
}

#[tokio::test]
async fn what_asks_for_no_socket_opens_none() {
    let sockets = Sockets::start().await;
    let answer = h1::Client::exchange(sockets.address, "GET", "/ws").await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    let counts = Counts::of_all(&encode::text(&sockets.registry));
    assert_eq!(counts.outcomes, [("client_error", 1.0)]);
    assert_eq!(sockets.sum("connections_opened_total"), 0.0);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_handshake_leaves_no_socket_open() {
    let sockets = Sockets::start().await;
    for _ in 0..20 {
        let mut client = h1::Client::open(sockets.address).await.unwrap();
        let asks = "GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.send(asks.as_bytes()).await.unwrap();
    }
    // One that stays, behind them, so that the server has seen them.
    let mut client = sockets.over_http1().await;
    speak(&mut client).await;
    let left = async {
        while sockets.open.active() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    let opened = sockets.sum("connections_opened_total");
    assert!((1.0..=21.0).contains(&opened), "{opened}");
    assert!(Counts::of_all(&encode::text(&sockets.registry)).is_settled());
}
