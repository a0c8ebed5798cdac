//! The exporter: one service that shows a registry to Prometheus, mounted or on its own.

mod body;
mod guard;
mod negotiate;
mod server;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

pub use body::ExporterBody;
#[cfg(feature = "web-config")]
pub use guard::WebConfigError;
#[cfg(feature = "tls")]
pub use guard::{ClientAuth, TlsConfig, TlsError, TlsVersion};
pub use guard::{CredentialsError, Guard, Refusal};
pub use server::Server;

use crate::clock::{self, Instant};
use crate::registry::Registry;

/// Where an exporter listens unless it is told otherwise: this machine only, at the port that
/// OpenTelemetry gives to Prometheus exporters.
pub const DEFAULT_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Shows a registry over HTTP.
///
/// | path | answer |
/// |---|---|
/// | `/metrics` | the registry, in OpenMetrics or the Prometheus text format, as `Accept` asks |
/// | `/health` | 200, and `{"status":"ready","uptime":{..},"endpoints":{}}` |
/// | `/live` | 200, for as long as the process answers |
///
/// It is a [`Service`] that can be mounted in a router, and it can [serve by itself](Self::bind). It
/// answers at these paths alone: mount it so that it sees them (in axum, by `route_service` at
/// `/metrics`, or by `nest_service` anywhere).
///
/// # Examples
/// ```
/// use dynamo_metrics::{exporter::Exporter, registry::Registry};
/// use tower_service::Service;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let registry = Registry::new();
/// let mut exporter = Exporter::new(&registry);
/// let request = http::Request::get("/metrics").body(()).unwrap();
/// let response = exporter.call(request).await.unwrap();
/// assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Exporter {
    registry: Registry,
    start: Instant,
}

impl Exporter {
    /// Shows `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), start: clock::now() }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<ExporterBody> {
        let allowed = matches!(*request.method(), Method::GET | Method::HEAD);
        let mut response = match request.uri().path() {
            "/metrics" if allowed => self.metrics(request),
            "/health" if allowed => self.health(),
            "/live" if allowed => json(r#"{"status":"live"}"#.to_owned()),
            "/metrics" | "/health" | "/live" => {
                let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
                refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                refusal
            }
            _ => plain(StatusCode::NOT_FOUND, "not found: try /metrics, /health or /live\n"),
        };
        if request.method() == Method::HEAD {
            *response.body_mut() = ExporterBody::empty();
        }
        response
    }

    fn metrics<B>(&self, request: &Request<B>) -> Response<ExporterBody> {
        let format = negotiate::format(request.headers());
        let mut page = Response::new(ExporterBody::scrape(self.registry.walk(), format));
        let content_type = HeaderValue::from_static(format.content_type());
        page.headers_mut().insert(CONTENT_TYPE, content_type);
        page.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
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

impl<B> Service<Request<B>> for Exporter {
    type Response = Response<ExporterBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ExporterBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.respond(&request)))
    }
}

fn json(text: String) -> Response<ExporterBody> {
    let mut response = Response::new(ExporterBody::whole(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that no scraper takes for metrics: its type has no version.
fn plain(status: StatusCode, text: &'static str) -> Response<ExporterBody> {
    let mut response = Response::new(ExporterBody::whole(text.to_owned()));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    fn get(registry: &Registry, method: Method, path: &str, accept: &str) -> Response<String> {
        let request =
            Request::builder().method(method).uri(path).header("accept", accept).body(()).unwrap();
        let (head, body) = Exporter::new(registry).respond(&request).into_parts();
        let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        Response::from_parts(head, text)
    }

    #[test]
    fn each_path_has_its_answer() {
        let registry = Registry::new();
        registry.gauge("x", "").register().unwrap();
        let answer = |method, path| {
            let response = get(&registry, method, path, "*/*");
            (response.status().as_u16(), response.into_body())
        };
        assert_eq!(answer(Method::GET, "/metrics"), (200, "# TYPE x gauge\nx 0\n".into()));
        assert_eq!(answer(Method::HEAD, "/metrics"), (200, String::new()));
        assert_eq!(answer(Method::GET, "/live"), (200, r#"{"status":"live"}"#.into()));
        assert!(answer(Method::GET, "/health").1.starts_with(r#"{"status":"ready","uptime":{"#));
        assert_eq!(answer(Method::GET, "/metricsx").0, 404);
        let refusal = get(&registry, Method::POST, "/metrics", "*/*");
        assert_eq!(
            (refusal.status().as_u16(), &refusal.headers()[ALLOW]),
            (405, &"GET, HEAD".parse().unwrap())
        );
    }

    #[test]
    fn a_large_page_comes_in_frames() {
        let registry = Registry::new();
        let family = registry.counter("x_total", "").dynamic_family(["k"]).unwrap();
        for i in 0..1_500 {
            family.with([&format!("{i:0100}")]).inc();
        }
        let request = Request::get("/metrics").body(()).unwrap();
        let mut body = Exporter::new(&registry).respond(&request).into_body();
        let mut sizes = Vec::new();
        while let Some(frame) = futures_util::FutureExt::now_or_never(body.frame()).unwrap() {
            sizes.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), crate::encode::text(&registry).len());
        assert!(sizes.len() > 2 && sizes.iter().all(|&size| size < 80 * 1024), "{sizes:?}");
    }
}
