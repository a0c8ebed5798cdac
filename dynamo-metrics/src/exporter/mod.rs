//! The exporter: one service that shows a registry to Prometheus, mounted or on its own.

mod ask;
mod backend;
mod body;
mod compress;
mod doors;
mod guard;
mod heard;
mod landing;
mod negotiate;
mod push;
mod read;
mod scrapes;
mod server;
mod system;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::Semaphore;
use tower_service::Service;

pub use backend::{Backend, BackendError, BackendHandle, Backends, BackendsError};
pub use body::ExporterBody;
#[cfg(feature = "web-config")]
pub use guard::WebConfigError;
#[cfg(feature = "tls")]
pub use guard::{ClientAuth, TlsConfig, TlsError, TlsVersion};
pub use guard::{CredentialsError, Guard, Refusal};
pub use push::Pushes;
pub use server::Server;
pub use system::SystemError;

use ask::Questions;
use compress::Encoding;
use doors::{Delivery, Route};
use scrapes::Scrapes;

use crate::clock::{self, Instant};
use crate::encode::Encoder;
use crate::registry::Registry;
use crate::registry::catalogue::Known;

pub(crate) const SETS: &[Known] =
    &[Known::of::<scrapes::Metrics>(), Known::set(&backend::INFO), Known::set(&push::INFO)];

/// Where an exporter listens unless it is told otherwise: this machine only, at the port that
/// OpenTelemetry gives to Prometheus exporters.
pub const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Longest time that a scrape waits for others, unless the exporter is told otherwise: as long as a
/// Prometheus waits that is not told otherwise either.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// Shows a registry over HTTP.
///
/// | path | answer |
/// |---|---|
/// | `/` | a page for people, with links to the others |
/// | `/metrics` | the registry: OpenMetrics, the Prometheus text format or protobuf, as `Accept` asks; gzip or zstd, as `Accept-Encoding` does; with `name[]`, only families and samples of these names |
/// | `/health` | 200, and `{"status":"ready","uptime":{..},"endpoints":{}}` |
/// | `/live` | 200, for as long as the process answers |
/// | `/backends` | addresses of other processes, if [accepted](Self::accept_backends) |
/// | `/push/{namespace}/{component}/{endpoint}` | takes pages, if [accepted](Self::accept_pushes) |
///
/// It is a [`Service`] that can be mounted in a router, and it can [serve by itself](Self::bind). It
/// answers at these paths alone: mount it so that it sees them (in axum, by `route_service` at
/// `/metrics`, or by `nest_service` anywhere). What it does itself is measured too, as
/// `dynamo_metrics_exporter_*`.
///
/// What has to be asked for its values runs in tokio, which must have its timer then, and is waited
/// for within the [scrape's time](Self::scrape_timeout).
///
/// # Examples
/// ```
/// use dynamo_metrics::{exporter::Exporter, registry::Registry};
/// use tower_service::Service;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// let mut exporter = Exporter::new(&registry);
/// let request = http::Request::get("/metrics").body(String::new()).unwrap();
/// let response = exporter.call(request).await.unwrap();
/// assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Exporter {
    registry: Registry,
    start: Instant,
    scrapes: Arc<Scrapes>,
    questions: Arc<Questions>,
    scrape_timeout: Duration,
    created: bool,
    answers: Option<Answers>,
    backends: Option<Backends>,
    pushes: Option<Pushes>,
    /// Places for bodies that are being read.
    places: Arc<Semaphore>,
    guard: Guard,
}

/// An exporter's answer, before it is there.
pub struct ExporterFuture(Pin<Box<dyn Future<Output = Response<ExporterBody>> + Send>>);

/// Answers at other paths, and instead of ours.
#[derive(Clone)]
struct Answers(Arc<Responder>);

/// Answers at a path that it knows.
type Responder = dyn Fn(&str) -> Option<Response<String>> + Send + Sync;

impl Exporter {
    /// Shows `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let scrapes = Scrapes::new(registry, scrapes::MOST);
        Self {
            registry: registry.clone(),
            start: clock::now(),
            scrapes,
            questions: registry.in_common(),
            scrape_timeout: SCRAPE_TIMEOUT,
            created: false,
            answers: None,
            backends: None,
            pushes: None,
            places: Arc::new(Semaphore::new(doors::MOST_BODIES)),
            guard: Guard::open(),
        }
    }

    /// Answers at most so many scrapes at once, and turns others away with 503 and `Retry-After`
    /// (default: 16). Clones of this exporter count together.
    #[must_use]
    pub fn most_scrapes(mut self, most: usize) -> Self {
        self.scrapes = self.scrapes.with_most(most);
        self
    }

    /// Lets in whom `guard` lets in (default: everybody), where the exporter [serves by
    /// itself](Self::bind). Where it is mounted, the router has guards of its own.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    /// Waits so long for callbacks, collectors and backends, and for as long as the scraper does
    /// (`X-Prometheus-Scrape-Timeout-Seconds`) if that is less; half a second of it is left for
    /// sending the page (default: 10 s). Who is late is left out, and counted as an error.
    #[must_use]
    pub fn scrape_timeout(mut self, timeout: Duration) -> Self {
        self.scrape_timeout = timeout;
        self
    }

    /// Shows in OpenMetrics when series were made, as `_created` (default: not, since scrapers that
    /// do not know it store a series more for each). Protobuf has it always.
    #[must_use]
    pub fn show_created(mut self) -> Self {
        self.created = true;
        self
    }

    /// Takes other processes' addresses at `/backends`: `POST` and `DELETE` of entries as
    /// [`Backends`] has them, one a line, and `GET` of all there are, without queries (default: none
    /// is taken). What was not added there can be neither replaced (409) nor removed (403) there. Where
    /// the exporter is mounted, or serves others than this machine, guard it.
    #[must_use]
    pub fn accept_backends(mut self, backends: &Backends) -> Self {
        self.backends = Some(backends.clone());
        self
    }

    /// Takes pages at `PUT /push/{namespace}/{component}/{endpoint}`, whose names may be
    /// percent-encoded (default: none is taken); see [`Pushes`]. Where the exporter is mounted, or
    /// serves others than this machine, guard it.
    #[must_use]
    pub fn accept_pushes(mut self, pushes: &Pushes) -> Self {
        self.pushes = Some(pushes.clone());
        self
    }

    /// Answers to a client who may come in.
    async fn admit<B: Body>(&self, request: Request<B>) -> Response<ExporterBody> {
        let (head, body) = request.into_parts();
        let mut response = match self.guard.admit(&head.headers).await {
            Ok(()) => self.respond(&head, body).await,
            Err(refusal) => {
                let refusal = refusal.response().map(ExporterBody::whole);
                let is_head = head.method == Method::HEAD;
                if is_head { refusal.map(ExporterBody::left_out) } else { refusal }
            }
        };
        self.guard.decorate(response.headers_mut());
        response
    }

    /// Answers as `answers` does at the paths that it knows: `/health` and its like, from a
    /// [`Health`](crate::health::Health). The page at `/metrics` stays ours.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{exporter::Exporter, health::Health, registry::Registry};
    ///
    /// let registry = Registry::new();
    /// let health = Health::new(&registry)?;
    /// let exporter = Exporter::new(&registry).answers(move |path| health.answer(path));
    /// # drop(exporter);
    /// # Ok::<(), dynamo_metrics::health::BuildError>(())
    /// ```
    #[must_use]
    pub fn answers(
        mut self,
        answers: impl Fn(&str) -> Option<Response<String>> + Send + Sync + 'static,
    ) -> Self {
        self.answers = Some(Answers(Arc::new(answers)));
        self
    }

    async fn respond<B: Body>(&self, head: &Parts, body: B) -> Response<ExporterBody> {
        let delivery = Delivery { head, body, places: &self.places };
        let response = match (doors::route(head.uri.path()), &self.backends, &self.pushes) {
            (Some(Route::Backends), Some(backends), _) => doors::backends(backends, delivery).await,
            (Some(Route::Push(path)), _, Some(pushes)) => doors::push(pushes, path, delivery).await,
            _ => {
                drop(delivery);
                self.show(head).await
            }
        };
        if head.method == Method::HEAD { response.map(ExporterBody::left_out) } else { response }
    }

    /// Answers where nobody brings anything.
    async fn show(&self, head: &Parts) -> Response<ExporterBody> {
        let allowed = matches!(head.method, Method::GET | Method::HEAD);
        let path = head.uri.path();
        let other = self.answers.as_ref().filter(|_| path != "/metrics");
        let other = other.and_then(|answers| (answers.0)(path));
        match path {
            _ if allowed && other.is_some() => other.unwrap_or_default().map(ExporterBody::whole),
            "/" | "" if allowed => html(landing::PAGE),
            "/metrics" if allowed => self.metrics(head).await,
            "/health" if allowed => self.health(),
            "/live" if allowed => json(r#"{"status":"live"}"#.to_owned()),
            "" | "/" | "/metrics" | "/health" | "/live" => not_allowed("GET, HEAD"),
            _ if other.is_some() => not_allowed("GET, HEAD"),
            _ => plain(StatusCode::NOT_FOUND, "not found: try /metrics, /health or /live\n"),
        }
    }

    async fn metrics(&self, head: &Parts) -> Response<ExporterBody> {
        let format = negotiate::format(&head.headers);
        let encoding = Encoding::wanted(&head.headers);
        let Some(scrape) = self.scrapes.start(format) else {
            return busy("too many scrapes at once\n");
        };
        let patience = ask::patience(&head.headers, self.scrape_timeout);
        let walk = self.questions.walk(&self.registry, patience).await;
        let walk = walk.only(names(head.uri.query().unwrap_or_default()));
        let encoder = Encoder::new(format, self.created);
        let mut page = Response::new(ExporterBody::page(walk, encoder, encoding, scrape));
        let content_type = HeaderValue::from_static(format.content_type());
        let headers = page.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        if encoding != Encoding::Identity {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.as_str()));
        }
        page
    }

    fn health(&self) -> Response<ExporterBody> {
        let uptime = self.start.elapsed();
        json(format!(
            r#"{{"status":"ready","uptime":{{"secs":{},"nanos":{}}},"endpoints":{{}}}}"#,
            uptime.as_secs(),
            uptime.subsec_nanos()
        ))
    }
}

impl<B> Service<Request<B>> for Exporter
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<ExporterBody>;
    type Error = Infallible;
    type Future = ExporterFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ExporterFuture {
        let exporter = self.clone();
        ExporterFuture(Box::pin(async move {
            let (head, body) = request.into_parts();
            exporter.respond(&head, body).await
        }))
    }
}

impl Future for ExporterFuture {
    type Output = Result<Response<ExporterBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ExporterFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExporterFuture")
    }
}

/// An answer for whoever should come again in a second.
fn busy(text: &'static str) -> Response<ExporterBody> {
    let mut refusal = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    refusal.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    refusal
}

fn not_allowed(allowed: &'static str) -> Response<ExporterBody> {
    let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refusal
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answers")
    }
}

/// The names that a query asks for by `name[]`.
fn names(query: &str) -> HashSet<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "name[]")
        .map(|(_, name)| name.into_owned())
        .collect()
}

fn html(text: &'static str) -> Response<ExporterBody> {
    let mut response = Response::new(ExporterBody::whole(text));
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn json(text: String) -> Response<ExporterBody> {
    let mut response = Response::new(ExporterBody::whole(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that no scraper takes for metrics: its type has no version.
fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<ExporterBody> {
    let mut response = Response::new(ExporterBody::whole(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
