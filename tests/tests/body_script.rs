//! When a response ends, by what its body does: one scripted poll after the other.

mod meter;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dynamo_metrics_tests::script::{Script, Step, poll_once};
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};

use crate::meter::Meter;

/// Two frames, of which the second one says that it is the last.
fn hello_world() -> Script {
    Script::new([Step::data("hello"), Step::data("world")]).telling_end()
}

/// A stream that does not know its own length, under a head that declares it.
fn three_of_nine() -> Response<Script> {
    let steps = [Step::data("ninebytes"), Step::data("ninebytes"), Step::data("ninebytes")];
    Response::builder().header(CONTENT_LENGTH, 27).body(Script::new(steps)).unwrap()
}

#[test]
fn a_body_at_its_end_from_the_start_ends_at_the_head() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([]).telling_end());
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
    assert_eq!(poll_once(&mut body), None);
    drop(body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_body_ends_with_the_frame_after_which_it_says_so() {
    let meter = Meter::new();
    let mut body = meter.body(hello_world());
    assert_eq!(poll_once(&mut body), Some(Step::data("hello")));
    assert_eq!(meter.outcomes(), []);
    assert_eq!(poll_once(&mut body), Some(Step::data("world")));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
    assert_eq!(poll_once(&mut body), None);
    drop(body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_body_ends_with_its_trailers_and_passes_them_on() {
    let meter = Meter::new();
    let trailers = Step::trailer("key", "value");
    let steps = [Step::data("hello"), Step::data("world"), trailers.clone()];
    let mut body = meter.body(Script::new(steps));
    poll_once(&mut body);
    poll_once(&mut body);
    assert_eq!(meter.outcomes(), []);
    assert_eq!(poll_once(&mut body), Some(trailers));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_body_dropped_after_one_of_two_frames_is_cancelled() {
    let meter = Meter::new();
    let mut body = meter.body(hello_world());
    poll_once(&mut body);
    assert_eq!(meter.outcomes(), []);
    drop(body);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn a_body_that_was_never_polled_is_cancelled_by_its_drop() {
    let meter = Meter::new();
    drop(meter.body(hello_world()));
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn an_error_in_the_body_is_the_end_whatever_comes_after_it() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello"), Step::Fail, Step::data("late")]));
    poll_once(&mut body);
    assert_eq!(poll_once(&mut body), Some(Step::Fail));
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
    assert_eq!(meter.counts().in_flight, 0.0);
    while poll_once(&mut body).is_some() {}
    drop(body);
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn an_error_and_then_a_drop_is_no_cancellation() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::Fail]));
    poll_once(&mut body);
    drop(body);
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn a_body_that_never_says_it_has_ended_ends_with_none() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello"), Step::data("world")]));
    poll_once(&mut body);
    poll_once(&mut body);
    assert_eq!(meter.outcomes(), []);
    assert_eq!(poll_once(&mut body), None);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_whole_body_ends_with_its_one_frame_and_needs_no_none() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello")]).telling_end().telling_length());
    poll_once(&mut body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
    assert_eq!(meter.counts().response_bytes, 5.0);
    assert_eq!(poll_once(&mut body), None);
    drop(body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn the_head_of_a_stream_starts_the_request_and_does_not_end_it() {
    let meter = Meter::new();
    let steps = ["one", "two", "three"].map(Step::data);
    let mut body = meter.body(Script::new(steps));
    let at_head = meter.counts();
    assert_eq!((at_head.started, at_head.ended, at_head.in_flight), (1.0, 0.0, 1.0));
    assert_eq!(at_head.response_bytes, 0.0);
    while poll_once(&mut body).is_some() {}
    let at_end = meter.counts();
    assert_eq!((at_end.started, at_end.ended, at_end.in_flight), (1.0, 1.0, 0.0));
    assert_eq!(at_end.response_bytes, 11.0);
}

#[test]
fn bytes_count_frame_by_frame_and_not_at_the_end() {
    let meter = Meter::new();
    let mut body =
        meter.body(Script::new([Step::data("milk"), Step::Pending, Step::data("syrup")]));
    let mut seen = Vec::new();
    for _ in 0..3 {
        poll_once(&mut body);
        seen.push(meter.counts().response_bytes);
    }
    assert_eq!(seen, [4.0, 4.0, 9.0]);
}

#[test]
fn a_204_that_nobody_reads_is_a_success() {
    let meter = Meter::new();
    let response = Response::builder().status(204).body(Script::new([]).telling_end()).unwrap();
    drop(meter.answer(Method::GET, response));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_drop_after_the_frame_that_ended_the_body_changes_nothing() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello")]).telling_end());
    poll_once(&mut body);
    drop(body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_201_whose_body_stays_stuck_is_cancelled_by_its_drop() {
    let meter = Meter::new();
    let response = Response::builder().status(201).body(Script::new([Step::Stuck])).unwrap();
    let mut body = meter.answer(Method::POST, response).into_body();
    assert_eq!(poll_once(&mut body), Some(Step::Pending));
    assert_eq!(meter.counts().in_flight, 1.0);
    drop(body);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
    assert_eq!(meter.counts().in_flight, 0.0);
}

#[test]
fn all_of_a_declared_length_is_a_success_without_none() {
    let meter = Meter::new();
    let mut body = meter.answer(Method::GET, three_of_nine()).into_body();
    for _ in 0..3 {
        poll_once(&mut body);
    }
    // Not yet: trailers may follow the last byte in HTTP/2.
    assert_eq!(meter.outcomes(), []);
    drop(body);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn part_of_a_declared_length_is_a_cancellation() {
    let meter = Meter::new();
    let mut body = meter.answer(Method::GET, three_of_nine()).into_body();
    poll_once(&mut body);
    poll_once(&mut body);
    drop(body);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn an_exact_size_hint_declares_a_length_as_the_header_does() {
    let meter = Meter::new();
    let script = Script::new([Step::data("hello"), Step::data("world")]).telling_length();
    let mut whole = meter.body(script.clone());
    poll_once(&mut whole);
    poll_once(&mut whole);
    drop(whole);
    let mut part = meter.body(script);
    poll_once(&mut part);
    drop(part);
    assert_eq!(meter.outcomes(), [("success", 1.0), ("cancelled", 1.0)]);
}

#[test]
fn answers_without_a_body_end_at_the_head_whatever_length_they_declare() {
    let cases = [
        (Method::HEAD, 200),
        (Method::GET, 204),
        (Method::GET, 304),
        (Method::GET, 101),
        (Method::CONNECT, 200),
        (Method::CONNECT, 204),
    ];
    for (method, status) in cases {
        let meter = Meter::new();
        let response = Response::builder().status(status).header(CONTENT_LENGTH, 10);
        let response = response.body(Script::new([Step::Stuck])).unwrap();
        let response = meter.answer(method.clone(), response);
        let counts = meter.counts();
        assert_eq!(counts.outcomes, [("success", 1.0)], "{method} {status}");
        assert_eq!((counts.in_flight, counts.response_bytes), (0.0, 0.0), "{method} {status}");
        drop(response);
        assert_eq!(meter.outcomes(), [("success", 1.0)], "{method} {status}");
    }
}

#[test]
fn a_connect_that_is_refused_has_a_body() {
    let meter = Meter::new();
    let response = Response::builder().status(403).body(Script::new([Step::data("no")])).unwrap();
    let mut body = meter.answer(Method::CONNECT, response).into_body();
    assert_eq!(meter.outcomes(), []);
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.outcomes(), [("client_error", 1.0)]);
}

#[test]
fn a_complete_answer_has_the_outcome_of_its_status() {
    let cases = [
        (200, "success"),
        (201, "success"),
        (307, "success"),
        (400, "client_error"),
        (404, "client_error"),
        (408, "timeout"),
        (429, "rejected"),
        (500, "server_error"),
        (503, "rejected"),
        (504, "timeout"),
        (529, "rejected"),
    ];
    for (status, outcome) in cases {
        let meter = Meter::new();
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response::builder().status(status).body(hello_world()).unwrap();
        let mut body = meter.answer(Method::GET, response).into_body();
        while poll_once(&mut body).is_some() {}
        assert_eq!(meter.outcomes(), [(outcome, 1.0)], "{status}");
    }
}

#[test]
fn a_panic_in_the_body_is_one_when_it_unwinds_through_the_owner() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello"), Step::Panic]));
    poll_once(&mut body);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let mut body = body;
        poll_once(&mut body)
    }));
    assert!(unwound.is_err());
    assert_eq!(meter.outcomes(), [("panic", 1.0)]);
    assert_eq!(meter.counts().in_flight, 0.0);
}

#[test]
fn a_success_that_is_dropped_by_a_later_panic_stays_one() {
    let meter = Meter::new();
    let mut body = meter.body(Script::new([Step::data("hello")]).telling_end());
    poll_once(&mut body);
    let unwound = catch_unwind(AssertUnwindSafe(move || {
        let _body = body;
        panic!("after the end");
    }));
    assert!(unwound.is_err());
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}
