//! A gRPC service of bytes, and its client, as generated code would have them.

// Each test program uses its own part of this.
#![allow(dead_code)]

pub(crate) mod measured;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use dynamo_metrics_tower::{Metrics, MetricsLayer, RequestBody};
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _, stream};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{
    ClientStreamingService, NamedService, ServerStreamingService, StreamingService, UnaryService,
};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tower::util::MapRequest;
use tower::{Layer as _, Service, ServiceExt as _};

pub(crate) const NAME: &str = "test.v1.Echo";
pub(crate) const METHODS: [&str; 4] = ["Say", "Repeat", "Collect", "Chat"];

type Message = Vec<u8>;
type Messages = Pin<Box<dyn Stream<Item = Result<Message, Status>> + Send>>;
type Boxed = fn(http::Request<RequestBody<Body>>) -> http::Request<Body>;

/// Messages are the bytes that they are.
#[derive(Clone, Copy, Default)]
struct Plain;

/// Answers `Say` with what it was told, or with an error if that is `fail`; `Repeat` with so many
/// messages, as `3`, and after them with an error if told so, as `3 fail`; `Collect` with the number of
/// messages that came; `Chat` with each of them.
#[derive(Clone)]
pub(crate) struct Echo;

/// Calls one of the methods.
struct Call;

pub(crate) struct Client(tonic::client::Grpc<Metrics<MapRequest<Channel, Boxed>>>);

impl Codec for Plain {
    type Encode = Message;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, item: Message, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining()).to_vec()))
    }
}

impl NamedService for Echo {
    const NAME: &'static str = NAME;
}

impl UnaryService<Message> for Call {
    type Response = Message;
    type Future = BoxFuture<'static, Result<Response<Message>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        let message = request.into_inner();
        Box::pin(async {
            if message == b"fail" {
                return Err(Status::failed_precondition("as it was told"));
            }
            Ok(Response::new(message))
        })
    }
}

impl ServerStreamingService<Message> for Call {
    type Response = Message;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Message>) -> Self::Future {
        let told = String::from_utf8(request.into_inner()).unwrap();
        let (count, then) = told.split_once(' ').unwrap_or((&told, ""));
        let messages = stream::repeat_with(|| Ok(b"again".to_vec())).take(count.parse().unwrap());
        let error = (then == "fail").then(|| Err(Status::failed_precondition("as it was told")));
        let messages = messages.chain(stream::iter(error));
        Box::pin(async { Ok(Response::new(messages.boxed())) })
    }
}

impl ClientStreamingService<Message> for Call {
    type Response = Message;
    type Future = BoxFuture<'static, Result<Response<Message>, Status>>;

    fn call(&mut self, request: Request<Streaming<Message>>) -> Self::Future {
        Box::pin(async {
            let count = request.into_inner().count().await;
            Ok(Response::new(count.to_string().into_bytes()))
        })
    }
}

impl StreamingService<Message> for Call {
    type Response = Message;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<Response<Messages>, Status>>;

    fn call(&mut self, request: Request<Streaming<Message>>) -> Self::Future {
        Box::pin(async { Ok(Response::new(request.into_inner().boxed())) })
    }
}

impl<B> Service<http::Request<B>> for Echo
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<tower::BoxError> + Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Plain);
            let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
            Ok(match &*method {
                "Say" => grpc.unary(Call, request).await,
                "Repeat" => grpc.server_streaming(Call, request).await,
                "Collect" => grpc.client_streaming(Call, request).await,
                "Chat" => grpc.streaming(Call, request).await,
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// Serves the service on a port of its own, measured, for as long as the runtime lives.
pub(crate) async fn serve(layer: MetricsLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Echo);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    address
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, layer: &MetricsLayer) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::new(endpoint.connect().await.unwrap(), layer)
    }

    /// Connects when it is first used, if it can, and waits for so long at most.
    pub(crate) fn lazy(address: SocketAddr, patience: Duration, layer: &MetricsLayer) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::new(endpoint.timeout(patience).connect_lazy(), layer)
    }

    fn new(channel: Channel, layer: &MetricsLayer) -> Self {
        // A channel takes tonic's body and no other.
        let boxed: Boxed = |request| request.map(Body::new);
        Self(tonic::client::Grpc::new(layer.layer(channel.map_request(boxed))))
    }

    pub(crate) async fn unary(&mut self, method: &str, message: &[u8]) -> Result<Message, Status> {
        self.0.ready().await.unwrap();
        let answer = self.0.unary(Request::new(message.to_vec()), path(method), Plain).await?;
        Ok(answer.into_inner())
    }

    pub(crate) async fn server_streaming(
        &mut self,
        method: &str,
        message: &[u8],
    ) -> Result<Streaming<Message>, Status> {
        self.0.ready().await.unwrap();
        let request = Request::new(message.to_vec());
        Ok(self.0.server_streaming(request, path(method), Plain).await?.into_inner())
    }

    pub(crate) async fn client_streaming(
        &mut self,
        method: &str,
        messages: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Message, Status> {
        self.0.ready().await.unwrap();
        let messages = Request::new(messages);
        Ok(self.0.client_streaming(messages, path(method), Plain).await?.into_inner())
    }

    pub(crate) async fn streaming(
        &mut self,
        method: &str,
        messages: impl Stream<Item = Message> + Send + 'static,
    ) -> Result<Streaming<Message>, Status> {
        self.0.ready().await.unwrap();
        let messages = Request::new(messages);
        Ok(self.0.streaming(messages, path(method), Plain).await?.into_inner())
    }
}

/// So many messages.
pub(crate) fn ones(count: usize) -> impl Stream<Item = Message> + Send + 'static {
    stream::iter(vec![b"one".to_vec(); count])
}

fn path(method: &str) -> PathAndQuery {
    format!("/{NAME}/{method}").parse().unwrap()
}
