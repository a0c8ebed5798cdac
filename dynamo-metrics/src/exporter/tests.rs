//! The exporter as a service, without a server.

use http_body_util::BodyExt as _;

use super::*;

fn respond(exporter: &Exporter, request: Request<()>) -> Response<ExporterBody> {
    let (head, ()) = request.into_parts();
    let response = exporter.respond(&head, String::new());
    futures_util::FutureExt::now_or_never(response).unwrap()
}

fn get(registry: &Registry, method: Method, path: &str, accept: &str) -> Response<String> {
    let request =
        Request::builder().method(method).uri(path).header("accept", accept).body(()).unwrap();
    let (head, body) = respond(&Exporter::new(registry), request).into_parts();
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
    assert!(answer(Method::GET, "/metrics").1.ends_with("\n# TYPE x gauge\nx 0\n"));
    assert!(answer(Method::GET, "/").1.contains("href=\"metrics\""));
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
fn health_answers_in_place_of_what_we_would_say() {
    let answers = |path: &str| {
        let mut answer = Response::new(format!("{path} is not well"));
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        ["/health", "/ready", "/metrics"].contains(&path).then_some(answer)
    };
    let exporter = Exporter::new(&Registry::new()).answers(answers);
    let status = |method, path: &str| {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        respond(&exporter, request).status().as_u16()
    };
    assert_eq!(status(Method::GET, "/health"), 503);
    assert_eq!(status(Method::HEAD, "/ready"), 503);
    assert_eq!(status(Method::POST, "/ready"), 405);
    assert_eq!(status(Method::GET, "/metrics"), 200);
    assert_eq!(status(Method::GET, "/live"), 200);
    assert_eq!(status(Method::GET, "/other"), 404);
}

#[test]
fn a_query_names_what_it_wants() {
    let registry = Registry::new();
    registry.counter("a_total", "").register().unwrap();
    registry.histogram("b", "").buckets([1.0]).register().unwrap();
    registry.gauge("b_total", "").register().unwrap();
    let shown = |query: &str| {
        let page = get(&registry, Method::GET, &format!("/metrics?{query}"), "*/*");
        let lines = page.body().lines().filter_map(|line| line.strip_prefix("# TYPE "));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown("name[]=a_total"), ["a_total"]);
    assert_eq!(shown("name%5B%5D=a"), ["a_total"]);
    assert_eq!(shown("name[]=b_bucket&name[]=a_created&x=1"), ["a_total", "b"]);
    assert_eq!(shown("name[]=b_total"), ["b_total"]);
    assert!(shown("name[]=nothing&name[]=%ff%00&name[]=").is_empty());
    assert!(shown("name=a_total").len() > 3, "another parameter asks for nothing");
}

#[test]
fn scrapes_past_the_most_are_turned_away() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry).most_scrapes(2);
    let request = || Request::get("/metrics").body(()).unwrap();
    let held: Vec<_> = (0..2).map(|_| respond(&exporter, request())).collect();
    let refusal = respond(&exporter, request());
    assert_eq!(refusal.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refusal.headers()[RETRY_AFTER], "1");
    drop(held);
    assert_eq!(respond(&exporter, request()).status(), StatusCode::OK);
    let text = crate::encode::text(&registry);
    for line in [
        "scrapes_total{format=\"text\",status=\"aborted\"} 3",
        "scrapes_rejected_total 1",
        "scrapes_in_flight 0",
        "scrape_duration_seconds_count 3",
    ] {
        assert!(text.contains(&format!("\ndynamo_metrics_exporter_{line}\n")), "{line}: {text}");
    }
}

#[test]
fn a_page_is_compressed_as_its_reader_asks() {
    let registry = Registry::new();
    registry.gauge("x", "").register().unwrap().set(7);
    let request = Request::get("/metrics?name[]=x").header("accept-encoding", "gzip");
    let response = respond(&Exporter::new(&registry), request.body(()).unwrap());
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(response.headers()[VARY], "accept, accept-encoding");
    let body = response.into_body().collect();
    let bytes = futures_util::FutureExt::now_or_never(body).unwrap().unwrap().to_bytes();
    let mut text = String::new();
    let mut read = flate2::read::GzDecoder::new(&*bytes);
    std::io::Read::read_to_string(&mut read, &mut text).unwrap();
    assert_eq!(text, "# TYPE x gauge\nx 7\n");
}

#[test]
fn a_large_page_comes_in_frames() {
    let registry = Registry::new();
    let family = registry.counter("x_total", "").dynamic_family(["k"]).unwrap();
    for i in 0..1_500 {
        family.with([&format!("{i:0100}")]).inc();
    }
    let request = Request::get("/metrics?name[]=x_total").body(()).unwrap();
    let mut body = respond(&Exporter::new(&registry), request).into_body();
    let mut sizes = Vec::new();
    while let Some(frame) = futures_util::FutureExt::now_or_never(body.frame()).unwrap() {
        sizes.push(frame.unwrap().into_data().unwrap().len());
    }
    let page = "# TYPE x_total counter\n".len() + 1_500 * "x_total{k=\"\"} 1\n".len();
    assert_eq!(sizes.iter().sum::<usize>(), page + 1_500 * 100);
    assert!(sizes.len() > 2 && sizes.iter().all(|&size| size < 80 * 1024), "{sizes:?}");
}
