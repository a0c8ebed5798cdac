//! The push door: pages of processes that come and go, taken, shown, replaced and expired.

mod scraped;

use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::clock::{self, Manual};
use dynamo_metrics::encode;
use dynamo_metrics::exporter::{Exporter, Pushes};
use dynamo_metrics::foreign::Limits;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{OPENMETRICS, PROTOBUF, TEXT};
use http::{Method, Request};
use http_body_util::Full;

use crate::scraped::{Answer, FORMATS, ask, page, promtool_reads, read_back, scrape, send};

const DOOR: &str = "/push/prod/batch/train";

/// The labels of what comes in at [`DOOR`].
const PLACE: [(&str, &str); 3] =
    [("dynamo_namespace", "prod"), ("dynamo_component", "batch"), ("dynamo_endpoint", "train")];

fn open() -> Exporter {
    let registry = Registry::new();
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    Exporter::new(&registry).accept_pushes(&Pushes::new(&registry))
}

async fn push(exporter: &Exporter, kind: &str, body: impl Into<Bytes>) -> Answer {
    let request = Request::put(DOOR).header("content-type", kind);
    ask(exporter, request.body(Full::new(body.into())).unwrap()).await
}

fn has_ours(page: &Page) -> bool {
    page.sum("level", &[]) == Some(5.0)
}

/// Runs a story with a clock that it moves.
fn with_clock<F: Future<Output = ()>>(story: impl FnOnce(Manual) -> F) {
    let time = Manual::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    time.run(|| runtime.block_on(story(time.clone())));
}

#[tokio::test]
async fn the_door_is_closed_by_default() {
    let exporter = Exporter::new(&Registry::new());
    for method in [Method::PUT, Method::POST, Method::DELETE, Method::GET] {
        assert_eq!(send(&exporter, method, DOOR, "steps 1\n").await.status, 404);
    }
    assert_eq!(page(&exporter).await.sum("steps", &[]), None);
}

#[tokio::test]
async fn a_page_is_shown_with_the_labels_of_its_endpoint() {
    let exporter = open();
    let answer =
        push(&exporter, TEXT, "# TYPE steps_total counter\nsteps_total{a=\"b\"} 7\n").await;
    assert!(answer.status.is_success(), "{answer:?}");
    for format in FORMATS {
        let parsed = read_back(&exporter, format).await;
        assert!(parsed.families.iter().any(|it| it.name == "steps_total"), "{format:?}");
    }
    let answer = scrape(&exporter).await;
    promtool_reads(answer.text());
    let page = answer.page();
    assert!(has_ours(&page));
    assert_eq!(page.sum("steps_total", &[&PLACE[..], &[("a", "b")]].concat()), Some(7.0));
}

#[tokio::test]
async fn a_page_may_come_in_each_format_and_untold_is_text() {
    let other = Registry::new();
    other.counter("steps_total", "Steps.").register().unwrap().inc_by(7);
    for (kind, body) in [
        (Some(TEXT), encode::text(&other).into_bytes()),
        (Some("text/plain"), encode::text(&other).into_bytes()),
        (Some(OPENMETRICS), encode::openmetrics(&other).into_bytes()),
        (Some(PROTOBUF), encode::protobuf(&other)),
        (None, encode::text(&other).into_bytes()),
    ] {
        let exporter = open();
        let mut request = Request::put(DOOR);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answer = ask(&exporter, request.body(Full::new(Bytes::from(body))).unwrap()).await;
        assert!(answer.status.is_success(), "{kind:?}: {answer:?}");
        assert_eq!(page(&exporter).await.sum("steps_total", &PLACE), Some(7.0), "{kind:?}");
    }
}

#[tokio::test]
async fn what_is_left_out_is_told() {
    let exporter = open();
    let answer =
        push(&exporter, TEXT, "right 1\n# TYPE wrong_total counter\nwrong_total -1\n").await;
    assert!(answer.status.is_success(), "{answer:?}");
    assert!(answer.text().contains('3') && answer.text().contains("wrong_total"), "{answer:?}");
    let page = page(&exporter).await;
    assert_eq!((page.sum("right", &PLACE), page.sum("wrong_total", &[])), (Some(1.0), None));
}

#[tokio::test]
async fn a_page_with_nothing_right_in_it_is_refused() {
    for (kind, body) in [
        (TEXT, &b"this is no page\n"[..]),
        (TEXT, b"\xff\xfe\x00"),
        (PROTOBUF, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        (OPENMETRICS, b"steps one\n# EOF\n"),
    ] {
        let exporter = open();
        assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
        let answer = push(&exporter, kind, body).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(!answer.text().is_empty());
        // The one before stands.
        assert_eq!(page(&exporter).await.sum("steps", &[]), Some(1.0));
    }
}

#[tokio::test]
async fn a_type_that_is_none_of_metrics_is_refused() {
    let exporter = open();
    for kind in ["text/html", "application/json", "application/x-www-form-urlencoded"] {
        assert_eq!(push(&exporter, kind, "steps 1\n").await.status, 415, "{kind}");
    }
    assert_eq!(page(&exporter).await.sum("steps", &[]), None);
}

#[tokio::test]
async fn a_compressed_page_is_refused() {
    let exporter = open();
    let request = Request::put(DOOR).header("content-encoding", "gzip");
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4b\x2c\xcd\x29\xa9";
    let answer = ask(&exporter, request.body(Full::new(Bytes::from(gzip))).unwrap()).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
}

#[tokio::test]
async fn a_page_that_is_too_large_is_refused() {
    let registry = Registry::new();
    let pushes = Pushes::new(&registry).limits(Limits::default().bytes(100));
    let exporter = Exporter::new(&registry).accept_pushes(&pushes);
    assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
    let answer = push(&exporter, TEXT, "a 1\n".repeat(100)).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(page(&exporter).await.sum("steps", &[]), Some(1.0));
}

#[tokio::test]
async fn other_methods_are_refused_and_told_which_may_be() {
    let exporter = open();
    for method in [Method::GET, Method::PATCH, Method::OPTIONS] {
        let answer = send(&exporter, method.clone(), DOOR, "steps 1\n").await;
        assert_eq!(answer.status, 405, "{method}: {answer:?}");
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(allow.contains("PUT") && allow.contains("DELETE"), "{allow}");
    }
    assert_eq!(page(&exporter).await.sum("steps", &[]), None);
}

#[tokio::test]
async fn a_path_that_names_no_endpoint_is_not_found() {
    let exporter = open();
    let paths = [
        "/push",
        "/push/",
        "/push/a",
        "/push/a/b",
        "/push/a/b/",
        "/push//b/c",
        "/push/a/b/c/d",
        "/pushy/a/b/c",
    ];
    for path in paths {
        assert_eq!(send(&exporter, Method::PUT, path, "steps 1\n").await.status, 404, "{path}");
    }
    assert_eq!(page(&exporter).await.sum("steps", &[]), None);
}

#[tokio::test]
async fn the_next_page_replaces_the_one_before() {
    let exporter = open();
    assert!(push(&exporter, TEXT, "one 1\nboth 1\n").await.status.is_success());
    assert!(push(&exporter, TEXT, "two 2\nboth 2\n").await.status.is_success());
    let page = page(&exporter).await;
    let seen = ["one", "two", "both"].map(|name| page.sum(name, &[]));
    assert_eq!(seen, [None, Some(2.0), Some(2.0)]);
}

#[tokio::test]
async fn a_deleted_page_leaves_nothing_behind() {
    let exporter = open();
    assert_eq!(send(&exporter, Method::DELETE, DOOR, "").await.status, 404);
    assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
    assert!(scrape(&exporter).await.text().contains("dynamo_metrics_push_time_seconds{"));
    assert!(send(&exporter, Method::DELETE, DOOR, "").await.status.is_success());
    let after = scrape(&exporter).await;
    assert!(!after.text().contains("steps"), "{}", after.text());
    assert!(!after.text().contains("dynamo_metrics_push_time"), "{}", after.text());
    assert_eq!(send(&exporter, Method::DELETE, DOOR, "").await.status, 404);
}

#[tokio::test]
async fn a_page_that_expired_leaves_nothing_behind_and_another_begins_again() {
    let registry = Registry::new();
    let door = |expiry| {
        let pushes = Pushes::new(&registry).expiry(expiry);
        Exporter::new(&registry).accept_pushes(&pushes)
    };
    let brief = door(Duration::ZERO);
    assert!(push(&brief, TEXT, "steps 1\n").await.status.is_success());
    let after = scrape(&brief).await;
    assert!(!after.text().contains("steps"), "{}", after.text());
    assert!(!after.text().contains("dynamo_metrics_push_time"), "{}", after.text());
    assert!(push(&door(Duration::MAX), TEXT, "steps 2\n").await.status.is_success());
    assert_eq!(page(&brief).await.sum("steps", &PLACE), Some(2.0));
}

#[test]
fn a_page_expires_and_a_new_one_begins_again() {
    with_clock(async |time| {
        let registry = Registry::new();
        let pushes = Pushes::new(&registry).expiry(Duration::from_secs(60));
        let exporter = Exporter::new(&registry).accept_pushes(&pushes);
        assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
        time.advance(Duration::from_secs(59));
        assert_eq!(page(&exporter).await.sum("steps", &PLACE), Some(1.0));
        time.advance(Duration::from_secs(2));
        let after = scrape(&exporter).await;
        assert!(!after.text().contains("steps"), "{}", after.text());
        assert!(push(&exporter, TEXT, "steps 2\n").await.status.is_success());
        time.advance(Duration::from_secs(59));
        assert_eq!(page(&exporter).await.sum("steps", &PLACE), Some(2.0));
    });
}

#[test]
fn a_page_is_shown_for_five_minutes_by_default() {
    with_clock(async |time| {
        let exporter = open();
        assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
        time.advance(Duration::from_secs(299));
        assert_eq!(page(&exporter).await.sum("steps", &[]), Some(1.0));
        time.advance(Duration::from_secs(2));
        let page = page(&exporter).await;
        assert_eq!(page.sum("steps", &[]), None);
        assert!(has_ours(&page));
    });
}

#[test]
fn when_a_page_came_is_told() {
    with_clock(async |time| {
        let exporter = open();
        let told = async || page(&exporter).await.sum("dynamo_metrics_push_time_seconds", &PLACE);
        assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
        let first = told().await.unwrap();
        assert!(first > 1.7e9, "{first}");
        time.advance(Duration::from_secs(20));
        assert_eq!(told().await, Some(first));
        assert!(push(&exporter, TEXT, "steps 1\n").await.status.is_success());
        assert!((told().await.unwrap() - first - 20.0).abs() < 0.01);
        let _ = clock::now();
    });
}

#[test]
fn there_is_room_for_so_many_endpoints_and_again_when_one_expired() {
    with_clock(async |time| {
        let registry = Registry::new();
        let pushes = Pushes::new(&registry).most(2);
        let exporter = Exporter::new(&registry).accept_pushes(&pushes);
        let put = async |name: &str| {
            send(&exporter, Method::PUT, &format!("/push/a/b/{name}"), "steps 1\n").await.status
        };
        assert!(put("one").await.is_success() && put("two").await.is_success());
        assert_eq!(put("three").await, 507);
        // Who is in may come again.
        assert!(put("two").await.is_success());
        assert!(send(&exporter, Method::DELETE, "/push/a/b/one", "").await.status.is_success());
        assert!(put("three").await.is_success());
        assert_eq!(put("four").await, 507);
        time.advance(Duration::from_secs(301));
        assert!(put("four").await.is_success() && put("five").await.is_success());
        let page = page(&exporter).await;
        assert_eq!(page.sum("steps", &[]), Some(2.0));
        assert_eq!(page.sum("steps", &[("dynamo_endpoint", "four")]), Some(1.0));
    });
}

#[tokio::test]
async fn there_is_room_for_so_many_endpoints() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry).most(2));
    let put = async |name: &str| {
        send(&exporter, Method::PUT, &format!("/push/a/b/{name}"), "steps 1\n").await.status
    };
    assert!(put("one").await.is_success() && put("two").await.is_success());
    assert_eq!(put("three").await, 507);
    // Who is in may come again.
    assert!(put("two").await.is_success());
    assert!(send(&exporter, Method::DELETE, "/push/a/b/one", "").await.status.is_success());
    assert!(put("three").await.is_success());
    assert_eq!(page(&exporter).await.sum("steps", &[]), Some(2.0));
}

#[tokio::test]
async fn a_page_that_expired_makes_room_for_another_endpoints() {
    let registry = Registry::new();
    let pushes = Pushes::new(&registry).most(1).expiry(Duration::ZERO);
    let exporter = Exporter::new(&registry).accept_pushes(&pushes);
    for i in 0..5 {
        let path = format!("/push/a/b/c{i}");
        let answer = send(&exporter, Method::PUT, &path, "steps 1\n").await;
        assert!(answer.status.is_success(), "{answer:?}");
    }
}

#[tokio::test]
async fn names_of_the_path_are_bent_into_labels() {
    let exporter = open();
    let put = send(&exporter, Method::PUT, "/push/my-ns/b%22c/d.e", "steps 1\n").await;
    assert!(put.status.is_success() || put.status.is_client_error(), "{put:?}");
    for format in FORMATS {
        let _ = read_back(&exporter, format).await;
    }
    promtool_reads(scrape(&exporter).await.text());
}

#[tokio::test]
async fn a_pushed_page_gives_way_to_what_is_ours() {
    let registry = Registry::new();
    let scope = registry.namespace("prod").component("batch").endpoint("train").with_prefix("");
    scope.gauge("level", "Ours.").register().unwrap().set(5);
    let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry));
    let page_of_it = "level 9\n# TYPE level_total counter\nlevel_total 1\nright 1\n";
    let _ = push(&exporter, TEXT, format!("# TYPE level gauge\n{page_of_it}")).await;
    for format in FORMATS {
        let _ = read_back(&exporter, format).await;
    }
    let page = page(&exporter).await;
    assert_eq!(page.sum("level", &[]), Some(5.0));
    assert_eq!((page.sum("level_total", &[]), page.sum("right", &PLACE)), (None, Some(1.0)));
    assert!(page.sum("dynamo_metrics_collect_errors_total", &[]).is_some_and(|it| it >= 2.0));
}

#[tokio::test]
async fn an_encoding_is_refused_with_what_may_be_sent() {
    let exporter = open();
    for (encoding, status) in [("gzip", 415), ("identity, gzip", 415), ("Identity", 200)] {
        let request = Request::put(DOOR).header("content-encoding", encoding);
        let answer = ask(&exporter, request.body("steps 1\n".to_owned()).unwrap()).await;
        assert_eq!(answer.status, status, "{encoding}: {answer:?}");
        let told = answer.headers.get("accept-encoding").map(|it| it.to_str().unwrap());
        assert_eq!(told, (status == 415).then_some("identity"), "{encoding}");
    }
}

#[tokio::test]
async fn a_head_has_no_body() {
    let answer = send(&open(), Method::HEAD, DOOR, "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (405, ""));
}

#[tokio::test]
async fn names_of_the_path_may_be_percent_encoded() {
    let exporter = open();
    let put = send(&exporter, Method::PUT, "/push/my%2Dns/b%22c/%64.e", "steps 1\n").await;
    assert_eq!(put.status, 200);
    let labels =
        [("dynamo_namespace", "my_ns"), ("dynamo_component", "b_c"), ("dynamo_endpoint", "d_e")];
    assert_eq!(page(&exporter).await.sum("steps", &labels), Some(1.0));
    assert_eq!(send(&exporter, Method::DELETE, "/push/my-ns/b%22c/d%2ee", "").await.status, 200);
}

#[tokio::test]
async fn a_name_of_which_nothing_is_left_is_not_found() {
    let exporter = open();
    for name in ["%C3%A9", "%ff", "%2", "%zz", "%", "%+1", "%2D", "_", "%2F", "a%", "a%C3"] {
        let path = format!("/push/a/{name}/c");
        assert_eq!(send(&exporter, Method::PUT, &path, "steps 1\n").await.status, 404, "{name}");
    }
    let long = "a".repeat(257);
    let put = send(&exporter, Method::PUT, &format!("/push/a/b/{long}"), "steps 1\n").await;
    assert_eq!(put.status, 404);
}
