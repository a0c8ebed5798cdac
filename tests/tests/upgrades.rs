//! Upgrades: the request ends with its 101 or its CONNECT's 200, and the connection lives on by a guard.

mod served;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use dynamo_metrics::encode;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::{ConnectionGuard, ConnectionMetrics};
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::served::{PATIENCE, Served, layer, serve};

/// A connection that was upgraded, and says what it is told until its client leaves.
async fn echo(request: Request, _open: ConnectionGuard) {
    let mut socket = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
    let mut byte = [0];
    while socket.read(&mut byte).await.is_ok_and(|read| read > 0) {
        socket.write_all(&byte).await.unwrap();
    }
}

/// Opens a connection by `ask`, uses it, and leaves; what the answer's head says is given back.
async fn live(status: StatusCode, ask: &[u8]) -> String {
    let (registry, layer) = layer();
    let scope = registry.namespace("test").component("api").endpoint("ws");
    let sockets = ConnectionMetrics::register(&scope).unwrap();
    let handler = sockets.clone();
    let upgrade = move |request: Request| {
        tokio::spawn(echo(request, handler.open()));
        let mut response = Response::builder().status(status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            response = response.header("upgrade", "echo").header("connection", "upgrade");
        }
        std::future::ready(response.body(Body::empty()).unwrap())
    };
    let address = serve(Router::new().fallback(any(upgrade)).layer(layer.clone())).await;
    let (gate, _) = watch::channel(false);
    let served = Served { registry, address, gate };

    let mut client = h1::Client::open(address).await.unwrap();
    client.send(ask).await.unwrap();
    let head = client.read_until("\r\n\r\n").await.unwrap().to_vec();
    client.send(b"hello").await.unwrap();
    client.read_until("hello").await.unwrap();
    assert_eq!(served.end_of_one().await, "success");
    assert_eq!(sockets.active(), 1);
    // What is upgraded is no body, so nobody waits for it.
    tokio::time::timeout(PATIENCE, layer.drain()).await.unwrap();

    drop(client);
    let closed = async {
        while sockets.active() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
    let page = Page::read(&encode::text(&served.registry));
    let of = |name: &str| page.sum(&format!("dynamo_component_{name}"), &[]);
    assert_eq!(of("connections_opened_total"), Some(1.0));
    assert_eq!(of("connection_duration_seconds_count"), Some(1.0));
    assert_eq!(of("request_duration_seconds_count"), Some(1.0));
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_is_no_request_in_flight_and_open_until_its_task_ends() {
    let ask = b"GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let head = live(StatusCode::SWITCHING_PROTOCOLS, ask).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn a_tunnel_is_no_request_in_flight_and_open_until_its_task_ends() {
    let ask = b"CONNECT db.test:5432 HTTP/1.1\r\nhost: db.test:5432\r\n\r\n";
    let head = live(StatusCode::OK, ask).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}
