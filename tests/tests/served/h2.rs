//! A client of HTTP/2 that sees streams and resets.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method, Request, StatusCode};
use tokio::net::TcpStream;

use super::PATIENCE;

/// One connection.
pub(crate) struct Client(SendRequest<Bytes>);

/// A request that was sent. Dropping it resets its stream.
pub(crate) struct Sent {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
}

/// An answer whose head has come.
pub(crate) struct Reading {
    body: RecvStream,
    stream: SendStream<Bytes>,
}

/// All of an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        let (client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Sent {
        let mut client = self.0.clone().ready().await.unwrap();
        let uri = format!("http://test{path}");
        let request = Request::builder().method(method).uri(uri).header("te", "trailers");
        let (response, stream) = client.send_request(request.body(()).unwrap(), true).unwrap();
        Sent { response, stream }
    }

    /// Sends the head of a request whose body is yet to come.
    pub(crate) async fn begin(&self, head: http::request::Builder) -> Sent {
        let mut client = self.0.clone().ready().await.unwrap();
        let (response, stream) = client.send_request(head.body(()).unwrap(), false).unwrap();
        Sent { response, stream }
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn fetch(&self, method: Method, path: &str) -> Result<Answer, h2::Error> {
        tokio::time::timeout(PATIENCE, self.read(method, path)).await.unwrap()
    }

    async fn read(&self, method: Method, path: &str) -> Result<Answer, h2::Error> {
        let response = self.send(method, path).await.response.await?;
        let (head, mut body) = response.into_parts();
        let mut data = Vec::new();
        while let Some(frame) = body.data().await {
            let frame = frame?;
            body.flow_control().release_capacity(frame.len())?;
            data.extend_from_slice(&frame);
        }
        let trailers = body.trailers().await?;
        Ok(Answer { status: head.status, headers: head.headers, data, trailers })
    }
}

impl Sent {
    /// Sends a part of the body.
    pub(crate) fn say(&mut self, data: &'static [u8]) {
        self.stream.send_data(Bytes::from_static(data), false).unwrap();
    }

    /// Waits for the head and the first frame, and reads no further.
    pub(crate) async fn first_frame(self) -> Reading {
        let mut body = self.response.await.unwrap().into_body();
        assert!(body.data().await.unwrap().is_ok());
        Reading { body, stream: self.stream }
    }

    pub(crate) fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }
}

impl Reading {
    pub(crate) fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
    }

    /// Reads the rest of the body.
    pub(crate) async fn rest(mut self) -> Result<Vec<u8>, h2::Error> {
        let mut data = Vec::new();
        while let Some(frame) = self.body.data().await {
            data.extend_from_slice(&frame?);
        }
        Ok(data)
    }
}
