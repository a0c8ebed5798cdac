//! Upgrades: the request ends with its 101, and the connection lives on by a guard.

mod served;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::any;
use dynamo_metrics::encode;
use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::ConnectionMetrics;
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::served::{PATIENCE, Served, layer, serve};

#[tokio::test]
async fn an_upgraded_connection_is_no_request_in_flight_and_open_until_its_task_ends() {
    let (registry, layer) = layer();
    let scope = registry.namespace("test").component("api").endpoint("ws");
    let sockets = ConnectionMetrics::register(&scope).unwrap();
    let handler = sockets.clone();
    let upgrade = move |request: Request| {
        let guard = handler.open();
        tokio::spawn(async move {
            let _open = guard;
            let mut socket = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut byte = [0];
            while socket.read(&mut byte).await.is_ok_and(|read| read > 0) {
                socket.write_all(&byte).await.unwrap();
            }
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response.header("upgrade", "echo").header("connection", "upgrade");
        std::future::ready(response.body(Body::empty()).unwrap())
    };
    let address = serve(Router::new().route("/ws", any(upgrade)).layer(layer.clone())).await;
    let (gate, _) = watch::channel(false);
    let served = Served { registry, address, gate };

    let mut client = h1::Client::open(address).await.unwrap();
    let ask = b"GET /ws HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.send(ask).await.unwrap();
    client.read_until("\r\n\r\n").await.unwrap();
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
}
