//! Web sockets: once both sides have agreed, bytes pass both ways until one of them is done.

use dynamo_metrics_tower::ConnectionMetrics;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use hyper::upgrade::{self, OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::headers;

/// What a client's connection becomes if the upstream agrees.
#[derive(Debug)]
pub(crate) struct Tunnel {
    client: OnUpgrade,
    metrics: ConnectionMetrics,
}

impl Tunnel {
    /// The tunnel that a request asks for, if it asks for web sockets.
    pub(crate) fn asked<B>(request: &mut Request<B>, metrics: &ConnectionMetrics) -> Option<Self> {
        let asks = request.version() == Version::HTTP_11
            && request.method() == Method::GET
            && headers::asks_for_web_socket(request.headers());
        asks.then(|| Self { client: upgrade::on(request), metrics: metrics.clone() })
    }

    /// Asks the upstream for the same.
    pub(crate) fn ask(headers: &mut HeaderMap) {
        agree(headers, HeaderValue::from_static("websocket"));
    }

    /// The upstream said 101: from the client's reading of that on, bytes pass both ways.
    ///
    /// Nobody reads them, and nobody waits for their end when the proxy is told to stop.
    pub(crate) fn open<B>(self, response: &mut Response<B>) {
        let (upstream, open) = (upgrade::on(response), self.metrics.open());
        tokio::spawn(async move {
            let _open = open;
            let Ok((client, upstream)) = tokio::try_join!(self.client, upstream) else { return };
            let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
            // However it ends, both connections end here.
            let _ = copy_bidirectional(&mut client, &mut upstream).await;
        });
    }
}

/// Writes the headers of a connection that becomes another.
pub(crate) fn agree(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(UPGRADE, protocol);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}
