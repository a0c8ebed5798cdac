//! Fetching one page, within a time and a size.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST, USER_AGENT};
use http::uri::Authority;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinError, spawn_blocking};
use tokio::time::timeout;

use crate::causes::whole;
use crate::exporter::ask::{FROM_BACKEND, SCRAPE_TIMEOUT};
use crate::exporter::read::{ReadError, read};
use crate::foreign::{Format, Limits, Parsed, parse};
use crate::label::LabelValue;

/// What we can read, the richest first.
const ACCEPTED: &str = if cfg!(feature = "protobuf") {
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
     application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
} else {
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
};

/// Most bytes of an answer's head.
const LONGEST_HEAD: usize = 64 * 1024;

/// What may be wrong with a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, LabelValue)]
pub(super) enum FetchStatus {
    /// Nothing.
    None,
    /// Nobody listens there.
    Connect,
    /// It took too long.
    Timeout,
    /// It is no HTTP, or ends in the middle.
    Broken,
    /// The status is not 200.
    Status,
    /// It is no page of metrics.
    ContentType,
    /// It is too long.
    Size,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no page within {0:?}")]
    Timeout(Duration),
    #[error("the answer is broken")]
    Broken(#[source] hyper::Error),
    #[error("the page was not read")]
    Unread(#[source] JoinError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("no page of metrics: {0:?}")]
    ContentType(String),
    #[error("the page is longer than {0} bytes")]
    Size(usize),
}

/// Why there is no page, as it is told: with all causes.
#[derive(Debug)]
pub(super) struct NoPage(FetchError);

/// Ends the connection with the fetch.
struct Connection(AbortHandle);

impl FetchStatus {
    /// The fault as the reason of an error.
    pub(super) fn as_reason(self) -> &'static str {
        Self::LABELS.get(self.index()).copied().unwrap_or_default()
    }
}

impl FetchError {
    fn fault(&self) -> FetchStatus {
        match self {
            Self::Connect(_) => FetchStatus::Connect,
            Self::Timeout(_) => FetchStatus::Timeout,
            Self::Broken(_) | Self::Unread(_) => FetchStatus::Broken,
            Self::Status(_) => FetchStatus::Status,
            Self::ContentType(_) => FetchStatus::ContentType,
            Self::Size(_) => FetchStatus::Size,
        }
    }
}

impl NoPage {
    pub(super) fn fault(&self) -> FetchStatus {
        self.0.fault()
    }
}

impl fmt::Display for NoPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&whole(&self.0))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Fetches and reads the page at `target`.
pub(super) async fn fetch(
    target: &Uri,
    patience: Duration,
    (limits, lookup): (&Limits, &Arc<Semaphore>),
) -> Result<Parsed, NoPage> {
    let fetched = timeout(patience, fetch_all(target, patience, (limits, lookup))).await;
    fetched.unwrap_or(Err(FetchError::Timeout(patience))).map_err(NoPage)
}

async fn fetch_all(
    target: &Uri,
    patience: Duration,
    (limits, lookup): (&Limits, &Arc<Semaphore>),
) -> Result<Parsed, FetchError> {
    let stream = connect(target, lookup).await.map_err(FetchError::Connect)?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(FetchError::Broken)?;
    // It ends by itself, or with the answer.
    let _connection = Connection(tokio::spawn(connection).abort_handle());
    let response =
        sender.send_request(request(target, patience)).await.map_err(FetchError::Broken)?;
    let format = format(&response)?;
    let page =
        read(response.into_body(), limits.most_bytes()).await.map_err(|error| match error {
            ReadError::TooLong => FetchError::Size(limits.most_bytes()),
            ReadError::Broken(error) => FetchError::Broken(error),
        })?;
    let limits = limits.clone();
    // Megabytes of text take a while.
    let parsed = spawn_blocking(move || parse(&page, format, &limits)).await;
    parsed.map_err(FetchError::Unread)
}

/// Connects to the target's host.
///
/// Looking a name up cannot be broken off, and takes a thread that tokio has few of: until one has
/// ended there is no other one for the same backend.
async fn connect(target: &Uri, lookup: &Arc<Semaphore>) -> io::Result<TcpStream> {
    let (host, port) = (target.host().unwrap_or_default(), target.port_u16().unwrap_or(80));
    // Brackets are how a URL has it, and not how the system does.
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return TcpStream::connect((address, port)).await;
    }
    let busy = |_| io::Error::new(io::ErrorKind::WouldBlock, "its name is still being looked up");
    let place = Arc::clone(lookup).try_acquire_owned().map_err(busy)?;
    let host = host.to_owned();
    let found = tokio::spawn(async move {
        let found = lookup_host((host, port)).await.map(Vec::from_iter);
        drop(place);
        found
    });
    let found = found.await.map_err(io::Error::other)??;
    TcpStream::connect(&*found).await
}

fn request(target: &Uri, patience: Duration) -> Request<Empty<Bytes>> {
    let path = target.path_and_query().map_or("/metrics", |path| path.as_str());
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = path.parse().unwrap_or_default();
    let timeout = format!("{:.3}", patience.as_secs_f64());
    let authority = target.authority().map(Authority::as_str).unwrap_or_default();
    let headers = [
        (HOST, authority),
        (ACCEPT, ACCEPTED),
        (USER_AGENT, concat!("dynamo-metrics/", env!("CARGO_PKG_VERSION"))),
        (SCRAPE_TIMEOUT, &timeout),
        (FROM_BACKEND, "1"),
    ];
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            request.headers_mut().insert(name, value);
        }
    }
    request
}

/// What the answer's page is written in.
fn format(response: &Response<Incoming>) -> Result<Format, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    // It was asked for nothing of the sort.
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(FetchError::ContentType(excerpt(encoding.as_bytes())));
    }
    match response.headers().get(CONTENT_TYPE) {
        // So it was before anybody asked.
        None => Ok(Format::Text),
        Some(value) => {
            let text = String::from_utf8_lossy(value.as_bytes());
            Format::of_content_type(&text)
                .ok_or_else(|| FetchError::ContentType(excerpt(value.as_bytes())))
        }
    }
}

/// The start of a header.
fn excerpt(value: &[u8]) -> String {
    String::from_utf8_lossy(value).chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_has_its_cause_and_is_told_with_it() {
        let error = FetchError::Connect(io::Error::other("nobody is there"));
        assert_eq!(error.to_string(), "cannot connect");
        assert_eq!(error.source().unwrap().to_string(), "nobody is there");
        assert_eq!(NoPage(error).to_string(), "cannot connect: nobody is there");
    }
}
