//! How streams end that say so themselves: OpenAI's events, and gRPC's trailers.

mod meter;

use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use dynamo_metrics_tower::ResponseBody;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Response};

use crate::meter::Meter;

const SSE: &str = "text/event-stream";
const GRPC: &str = "application/grpc";

/// A stream of one frame per event.
fn events<const N: usize>(events: [&str; N]) -> Script {
    Script::new(events.map(Step::data))
}

fn read_to_end(mut body: ResponseBody<Script>) {
    while poll_once(&mut body).is_some() {}
}

fn read_frames(mut body: ResponseBody<Script>, frames: usize) {
    for _ in 0..frames {
        assert!(matches!(poll_once(&mut body), Some(Step::Data(_))));
    }
}

#[test]
fn a_client_that_leaves_at_done_is_a_success() {
    let meter = Meter::new();
    let script = events([&openai::role(), &openai::content("Hi"), DONE]);
    read_frames(meter.typed(SSE, script), 3);
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_client_that_leaves_before_done_is_a_cancellation() {
    let meter = Meter::new();
    let script = events([&openai::role(), &openai::content("Hi"), DONE]);
    read_frames(meter.typed(SSE, script), 2);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn a_done_that_is_cut_over_frames_is_one() {
    for cut in 1..DONE.len() {
        let meter = Meter::new();
        let (start, rest) = DONE.split_at(cut);
        read_frames(meter.typed(SSE, events([&openai::content("Hi"), start, rest])), 3);
        assert_eq!(meter.outcomes(), [("success", 1.0)], "cut at {cut}");
    }
}

#[test]
fn done_within_the_text_of_an_answer_is_no_end() {
    let meter = Meter::new();
    let script = events([&openai::content("data: [DONE]\n\n"), DONE]);
    read_frames(meter.typed(SSE, script), 1);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn a_stream_that_ends_without_done_or_finish_reason_is_incomplete() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, events([&openai::role(), &openai::content("Hi")])));
    assert_eq!(meter.outcomes(), [("incomplete", 1.0)]);
}

#[test]
fn a_declared_length_does_not_make_an_unfinished_stream_whole() {
    let meter = Meter::new();
    let text = openai::content("Hi");
    let response = Response::builder().header(CONTENT_TYPE, SSE).header(CONTENT_LENGTH, text.len());
    let response = response.body(events([&text])).unwrap();
    // Over HTTP/1.1 a body of a declared length is dropped at its last byte, without a `None`.
    read_frames(meter.answer(Method::GET, response).into_body(), 1);
    assert_eq!(meter.outcomes(), [("incomplete", 1.0)]);
}

#[test]
fn a_stream_held_in_memory_that_lacks_its_marker_is_incomplete() {
    let meter = Meter::new();
    let script = events([&openai::content("Hi")]).telling_end().telling_length();
    read_frames(meter.typed(SSE, script), 1);
    assert_eq!(meter.outcomes(), [("incomplete", 1.0)]);
}

#[test]
fn a_finish_reason_completes_a_stream_that_has_no_done() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, events([&openai::content("Hi"), &openai::finish()])));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_stream_of_another_protocol_needs_no_marker() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, events(["data: 12:00\n\n", "data: 12:01\n\n"])));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn an_error_event_under_a_200_is_a_server_error() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, events([&openai::content("Hi"), &openai::error()])));
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn an_error_event_is_not_undone_by_a_done_after_it() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, events([&openai::error(), DONE])));
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn a_client_that_leaves_at_an_error_event_did_not_cancel() {
    let meter = Meter::new();
    let script = Script::new([Step::data(&openai::error()), Step::Stuck]);
    read_frames(meter.typed(SSE, script), 1);
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn a_body_error_before_done_is_a_server_error() {
    let meter = Meter::new();
    read_to_end(meter.typed(SSE, Script::new([Step::data(&openai::content("Hi")), Step::Fail])));
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn an_event_stream_that_is_json_after_all_is_what_its_status_says() {
    let meter = Meter::new();
    read_to_end(meter.typed("application/json", events([&openai::content("Hi")])));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

/// How a gRPC call ends whose trailers say `status`.
fn trailers(status: &'static str) -> Vec<(&'static str, f64)> {
    let meter = Meter::new();
    let script = [Step::data("\0\0\0\0\0"), Step::trailer("grpc-status", status)];
    read_to_end(meter.typed(GRPC, Script::new(script)));
    meter.outcomes()
}

#[test]
fn grpc_trailers_of_status_0_are_a_success() {
    assert_eq!(trailers("0"), [("success", 1.0)]);
}

#[test]
fn grpc_trailers_of_status_13_are_a_server_error_under_a_200() {
    assert_eq!(trailers("13"), [("server_error", 1.0)]);
}

#[test]
fn grpc_trailers_have_the_outcome_of_their_status() {
    assert_eq!(trailers("1"), [("cancelled", 1.0)]);
    assert_eq!(trailers("3"), [("client_error", 1.0)]);
    assert_eq!(trailers("4"), [("timeout", 1.0)]);
    assert_eq!(trailers("8"), [("rejected", 1.0)]);
    assert_eq!(trailers("14"), [("rejected", 1.0)]);
}

#[test]
fn a_malformed_grpc_status_is_a_server_error() {
    for status in ["99", "-1", "abc", "", "00", "0 "] {
        assert_eq!(trailers(status), [("server_error", 1.0)], "{status:?}");
    }
}

#[test]
fn a_grpc_call_dropped_before_its_trailers_is_cancelled() {
    let meter = Meter::new();
    let script = [Step::data("\0\0\0\0\0"), Step::trailer("grpc-status", "0")];
    read_frames(meter.typed(GRPC, Script::new(script)), 1);
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
}

#[test]
fn a_grpc_call_without_trailers_is_incomplete() {
    let meter = Meter::new();
    read_to_end(meter.typed(GRPC, Script::new([Step::data("\0\0\0\0\0")])));
    assert_eq!(meter.outcomes(), [("incomplete", 1.0)]);
}

#[test]
fn a_grpc_call_that_ends_with_its_head_has_its_status_there() {
    for (status, outcome) in [("0", "success"), ("5", "client_error"), ("13", "server_error")] {
        let meter = Meter::new();
        let response = Response::builder().header(CONTENT_TYPE, GRPC).header("grpc-status", status);
        drop(meter.answer(Method::POST, response.body(Script::new([]).telling_end()).unwrap()));
        assert_eq!(meter.outcomes(), [(outcome, 1.0)], "{status}");
    }
}

#[test]
fn trailers_outweigh_a_grpc_status_in_the_head() {
    let meter = Meter::new();
    let response = Response::builder().header(CONTENT_TYPE, GRPC).header("grpc-status", "0");
    let script = Script::new([Step::data("\0\0\0\0\0"), Step::trailer("grpc-status", "13")]);
    read_to_end(meter.answer(Method::POST, response.body(script).unwrap()).into_body());
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn a_status_in_the_head_counts_if_the_trailers_have_none() {
    let meter = Meter::new();
    let response = Response::builder().header(CONTENT_TYPE, GRPC).header("grpc-status", "13");
    let script = Script::new([Step::data("\0\0\0\0\0"), Step::trailer("key", "value")]);
    read_to_end(meter.answer(Method::POST, response.body(script).unwrap()).into_body());
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
}

#[test]
fn trailers_of_other_content_have_no_grpc_status() {
    let meter = Meter::new();
    let script = Script::new([Step::data("hello"), Step::trailer("grpc-status", "13")]);
    read_to_end(meter.typed("text/plain", script));
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_grpc_failure_after_data_broke_the_answer_off() {
    let meter = Meter::new();
    let trailers = [("grpc-status".parse().unwrap(), "13".parse().unwrap())].into_iter().collect();
    let script = Script::new([Step::data("data"), Step::Trailers(trailers)]);
    read_to_end(meter.typed(GRPC, script));
    let failed = |error| meter.sum("errors_total", &[("error_type", error)]);
    assert_eq!((failed("response_stream"), failed("generate")), (Some(1.0), Some(0.0)));
}

#[test]
fn each_end_is_one_and_a_failure_is_one_failure_more() {
    let stream = |meter: &Meter, steps: &[Step]| {
        read_to_end(meter.typed(GRPC, Script::new(steps.to_vec())));
    };
    for (status, failures) in [("0", 0.0), ("13", 1.0), ("3", 1.0), ("1", 0.0)] {
        // With messages before the trailers, and without any.
        let messages = [Step::data("\0\0\0\0\0"), Step::trailer("grpc-status", status)];
        for steps in [&messages[..], &messages[1..]] {
            let meter = Meter::new();
            stream(&meter, steps);
            assert_eq!(meter.counts().ended, 1.0, "{status}");
            assert_eq!(meter.sum("errors_total", &[]), Some(failures), "{status}");
        }
    }
    // Neither messages nor trailers.
    let meter = Meter::new();
    stream(&meter, &[]);
    assert_eq!((meter.counts().ended, meter.sum("errors_total", &[])), (1.0, Some(1.0)));
}
