//! An exporter that is asked as a service, and what it answers.

// Each test program uses its own part of this.
#![allow(dead_code)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use bytes::Bytes;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::foreign::{Format, Limits, Parsed, parse};
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{OPENMETRICS, PROTOBUF};
use dynamo_metrics_tests::prometheus::Folder;
use dynamo_metrics_tests::tools::{python, tool};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::Service as _;

pub(crate) const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn page(&self) -> Page {
        assert_eq!(self.status, 200, "{}", self.text());
        Page::read(self.text())
    }
}

pub(crate) async fn ask<B>(exporter: &Exporter, request: Request<B>) -> Answer
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
{
    let response = exporter.clone().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

/// A request with a body of text.
pub(crate) async fn send(exporter: &Exporter, method: Method, path: &str, body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(body.to_owned()).unwrap();
    ask(exporter, request).await
}

/// The page in the text format.
pub(crate) async fn scrape(exporter: &Exporter) -> Answer {
    send(exporter, Method::GET, "/metrics", "").await
}

pub(crate) async fn page(exporter: &Exporter) -> Page {
    scrape(exporter).await.page()
}

/// The page in a format, read back; nothing may be wrong with it.
pub(crate) async fn read_back(exporter: &Exporter, format: Format) -> Parsed {
    let accept = match format {
        Format::OpenMetrics => OPENMETRICS,
        Format::Protobuf => PROTOBUF,
        _ => "text/plain",
    };
    let request = Request::get("/metrics").header("accept", accept).body(String::new()).unwrap();
    let answer = ask(exporter, request).await;
    assert_eq!(answer.status, 200);
    let told = answer.headers["content-type"].to_str().unwrap();
    assert_eq!(Format::of_content_type(told), Some(format));
    let parsed = parse(&answer.body, format, &Limits::default());
    assert_eq!(parsed.faults, [], "{}", String::from_utf8_lossy(&answer.body));
    parsed
}

/// `prod.backend.generate` of a registry.
pub(crate) fn endpoint(registry: &Registry) -> Scope {
    registry.namespace("prod").component("backend").endpoint("generate")
}

/// Names, labels and nothing else of all series in the format, without what the exporter and the
/// registry tell of themselves.
pub(crate) fn series(parsed: &Parsed) -> BTreeSet<(String, Vec<(String, String)>)> {
    let families = parsed.families.iter().filter(|it| !it.name.starts_with("dynamo_metrics_"));
    let named = families.flat_map(|family| {
        family.series.iter().map(|series| (family.name.clone(), series.labels.clone()))
    });
    named.collect()
}

/// Serves for as long as the story takes.
pub(crate) fn serve(exporter: &Exporter) -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(exporter.bind("127.0.0.1:0")).unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || runtime.block_on(server.serve(std::future::pending())));
    address
}

/// Promtool reads a page, whatever it thinks of the names in it.
pub(crate) fn promtool_reads(page: &str) {
    let mut promtool = Command::new(tool("prometheus", "promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // 3 means that it would have chosen other names.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{said}\n{page}");
}

/// Python's parsers read both pages, and find the same in them.
pub(crate) fn python_reads(name: &str, text: &str, openmetrics: &str) {
    let folder = Folder::new(name);
    let files = [folder.write("text", text), folder.write("openmetrics", openmetrics)];
    let parsed = python("parse_pages.py").args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&parsed.stderr);
    assert!(parsed.status.success(), "{said}\n{}", fs::read_to_string(&files[1]).unwrap());
}
