//! Whose time a stream's is: first byte, first answer, stall, wait, and the means of a request.

mod meter;

use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::llm::{
    EndpointOptions, FirstToken, InterToken, TokenEnd, TokenStart, UnaryTokens,
};
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use dynamo_metrics_tower::ResponseBody;
use serde_json::json;

use crate::meter::Meter;

const SSE: &str = "text/event-stream";

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Events, each after so many milliseconds in which the client asked for it.
fn play(meter: &Meter, steps: &[(u64, &str)]) {
    let time = Manual::new();
    time.run(|| {
        let frames = steps.iter().flat_map(|(_, text)| [Step::Pending, Step::data(text)]);
        let mut body = meter.typed(SSE, Script::new(frames));
        for (after, _) in steps {
            assert_eq!(poll_once(&mut body), Some(Step::Pending));
            time.advance(ms(*after));
            assert!(matches!(poll_once(&mut body), Some(Step::Data(_))));
        }
        while poll_once(&mut body).is_some() {}
    });
}

/// A chunk of reasoning.
fn reasoning(text: &str) -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": {"reasoning_content": text}}]});
    format!("data: {chunk}\n\n")
}

/// The chunk with the usage of all.
fn usage(usage: &serde_json::Value) -> String {
    format!("data: {}\n\n", json!({"choices": [], "usage": usage}))
}

/// Reads the next frame of a body whose client looks for it after `stall`, and waits for `wait`.
fn next(body: &mut ResponseBody<Script>, time: &Manual, stall: u64, wait: u64) {
    time.advance(ms(stall));
    assert_eq!(poll_once(body), Some(Step::Pending));
    time.advance(ms(wait));
    assert!(matches!(poll_once(body), Some(Step::Data(_))));
}

#[test]
fn first_byte_first_token_and_first_answer_are_three_instants() {
    let meter = Meter::new();
    play(
        &meter,
        &[
            (1, &openai::role()),
            (49, &reasoning("Hm")),
            (850, &openai::content("It")),
            (10, &openai::content(" is")),
            (1, &openai::finish()),
            (0, DONE),
        ],
    );
    assert_eq!(meter.times("time_to_first_byte_seconds"), (1.0, 1.0));
    assert_eq!(meter.times("time_to_first_token_seconds"), (1.0, 50.0));
    assert_eq!(meter.times("time_to_first_answer_token_seconds"), (1.0, 900.0));
}

#[test]
fn an_answer_without_reasoning_has_its_first_token_only() {
    let meter = Meter::new();
    play(&meter, &[(50, &openai::content("It")), (10, &openai::finish()), (0, DONE)]);
    assert_eq!(meter.times("time_to_first_token_seconds"), (1.0, 50.0));
    assert_eq!(meter.sum("time_to_first_answer_token_seconds_count", &[]), None);
}

#[test]
fn the_first_token_is_what_the_endpoint_says() {
    for (rule, first) in [
        (FirstToken::AnyByte, 100.0),
        (FirstToken::AnyEvent, 200.0),
        (FirstToken::Content, 300.0),
        (FirstToken::Answer, 400.0),
    ] {
        let meter = Meter::with(EndpointOptions::new().first_token(rule));
        let steps = [
            (100, ": a comment is a byte and no event\n\n"),
            (100, &openai::role()),
            (100, &reasoning("Hm")),
            (100, &openai::content("It")),
            (1, DONE),
        ];
        play(&meter, &steps);
        assert_eq!(meter.times("time_to_first_token_seconds"), (1.0, first), "{rule:?}");
        assert_eq!(meter.times("inter_token_latency_seconds"), (1.0, 100.0), "{rule:?}");
    }
}

#[test]
fn a_gap_is_the_clients_stall_and_the_producers_wait() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let words = ["one", "two", "three"].map(|text| Step::data(&openai::content(text)));
        let frames = words.into_iter().flat_map(|word| [Step::Pending, word]);
        let mut body = meter.typed(SSE, Script::new(frames));
        next(&mut body, &time, 0, 100);
        next(&mut body, &time, 40, 10);
        next(&mut body, &time, 0, 20);
        // A client that reads no more and leaves has stalled until then.
        time.advance(ms(600));
    });
    assert_eq!(meter.times("inter_token_latency_seconds"), (2.0, 70.0));
    assert_eq!(meter.times("inter_token_wait_seconds"), (2.0, 30.0));
    assert_eq!(meter.times("stream_stall_seconds"), (1.0, 640.0));
}

#[test]
fn what_comes_between_two_tokens_is_a_part_of_their_gap() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let frames = [&openai::content("one"), ": alive\n\n", &openai::content("two")];
        let frames = frames.into_iter().flat_map(|text| [Step::Pending, Step::data(text)]);
        let mut body = meter.typed(SSE, Script::new(frames));
        next(&mut body, &time, 0, 100);
        next(&mut body, &time, 3, 30);
        next(&mut body, &time, 4, 40);
    });
    assert_eq!(meter.times("inter_token_latency_seconds"), (1.0, 77.0));
    assert_eq!(meter.times("inter_token_wait_seconds"), (1.0, 70.0));
    assert_eq!(meter.times("stream_stall_seconds"), (1.0, 7.0));
}

#[test]
fn the_mean_of_a_request_leaves_its_first_chunk_out() {
    let meter = Meter::new();
    let two = openai::content_with_usage("one two", 2);
    let four = openai::content_with_usage("three four", 4);
    play(&meter, &[(100, &two), (40, &four), (60, &openai::finish()), (0, DONE)]);
    assert_eq!(meter.times("time_per_output_token_seconds"), (1.0, 20.0));
    assert_eq!(meter.times("output_tokens_per_second"), (1.0, 20_000.0));
    let meter = Meter::with(EndpointOptions::new().token_end(TokenEnd::EndOfBody));
    play(&meter, &[(100, &two), (40, &four), (60, &openai::finish()), (0, DONE)]);
    assert_eq!(meter.times("time_per_output_token_seconds"), (1.0, 50.0));
}

#[test]
fn one_token_and_a_failure_have_no_mean() {
    let meter = Meter::new();
    play(&meter, &[(100, &openai::content("one")), (40, &openai::finish()), (0, DONE)]);
    let (one, two) = (openai::content("one"), openai::content("two"));
    play(&meter, &[(100, &one), (40, &two), (1, &openai::error())]);
    assert_eq!(meter.sum("time_per_output_token_seconds_count", &[]), None);
    assert_eq!(meter.times("output_tokens_per_second").0, 1.0);
}

#[test]
fn gaps_are_counted_as_the_endpoint_says() {
    for (mode, times) in [
        (InterToken::PerToken, (4.0, 100.0)),
        (InterToken::PerChunk, (2.0, 100.0)),
        (InterToken::PerRequestMean, (1.0, 25.0)),
    ] {
        let meter = Meter::with(EndpointOptions::new().inter_token(mode));
        let chunk = |tokens| openai::content_with_usage("one two", tokens);
        play(&meter, &[(100, &chunk(2)), (40, &chunk(4)), (60, &chunk(6)), (1, DONE)]);
        assert_eq!(meter.times("inter_token_latency_seconds"), times, "{mode:?}");
    }
}

#[test]
fn the_times_of_an_answer_in_one_piece_are_told_only_where_that_is_asked_for() {
    let answer = json!({
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4},
    });
    for (unary, times) in [(UnaryTokens::Untimed, (0.0, 0.0)), (UnaryTokens::AtEnd, (1.0, 80.0))] {
        let meter = Meter::with(EndpointOptions::new().unary(unary));
        let time = Manual::new();
        time.run(|| {
            let script = Script::new([Step::data(&answer.to_string())]).telling_end();
            let mut body = meter.typed("application/json", script);
            time.advance(ms(80));
            poll_once(&mut body);
        });
        assert_eq!(meter.times("time_to_first_token_seconds"), times);
        assert_eq!(meter.sum("output_tokens_total", &[]), Some(4.0));
        assert_eq!(meter.sum("input_tokens_total", &[]), Some(9.0));
        assert_eq!(meter.sum("inter_token_latency_seconds_count", &[]), None);
    }
}

#[test]
fn tokens_are_told_apart_by_where_their_number_comes_from() {
    let meter = Meter::new();
    play(&meter, &[(1, &openai::content("one")), (1, &openai::content("two")), (1, DONE)]);
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(2.0));
    assert_eq!(meter.sum("estimated_output_tokens_total", &[]), Some(2.0));
    let told = usage(&json!({
        "prompt_tokens": 100,
        "completion_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }));
    let end = openai::finish();
    play(&meter, &[(1, &reasoning("Hm")), (1, &openai::content("one")), (1, &end), (1, &told)]);
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(14.0));
    assert_eq!(meter.sum("estimated_output_tokens_total", &[]), Some(2.0));
    assert_eq!(meter.sum("input_tokens_total", &[]), Some(100.0));
    assert_eq!(meter.sum("cached_tokens_total", &[]), Some(64.0));
    assert_eq!(meter.sum("reasoning_tokens_total", &[]), Some(5.0));
    let stop = [("finish_reason", "stop")];
    assert_eq!(meter.sum("finished_answers_total", &stop), Some(1.0));
}

#[test]
fn a_stream_that_says_nothing_is_counted_as_that() {
    let meter = Meter::new();
    play(&meter, &[(1, &openai::role()), (5, DONE)]);
    assert_eq!(meter.sum("streams_without_token_total", &[]), Some(1.0));
    assert_eq!(meter.sum("time_to_first_token_seconds_count", &[]), None);
}

#[test]
fn what_cannot_be_looked_at_is_counted_and_not_guessed() {
    let meter = Meter::new();
    let response = http::Response::builder()
        .header("content-type", SSE)
        .header("content-encoding", "gzip")
        .body(Script::new([Step::data("\x1f\u{8b} and so on")]))
        .unwrap();
    let mut body = meter.answer(http::Method::GET, response).into_body();
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.sum("uninspected_answers_total", &[("reason", "encoded")]), Some(1.0));
    assert_eq!(meter.sum("time_to_first_byte_seconds_count", &[]), Some(1.0));
    assert_eq!(meter.sum("stream_stall_seconds_count", &[]), Some(1.0));
    assert_eq!(meter.sum("streams_without_token_total", &[]), None);
    assert_eq!(meter.sum("output_tokens_total", &[]), None);
}

#[test]
fn a_client_that_leaves_is_counted_with_the_time_it_stayed() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let mut body = meter.typed(SSE, Script::new([Step::data(&openai::role()), Step::Stuck]));
        poll_once(&mut body);
        time.advance(ms(700));
    });
    let body = [("phase", "body")];
    assert_eq!(meter.sum("cancelled_after_seconds_count", &body), Some(1.0));
    assert_eq!(meter.sum("cancelled_after_seconds_sum", &body), Some(0.7));
}

#[test]
fn the_head_of_an_answer_has_a_time_of_its_own() {
    let meter = Meter::new();
    play(&meter, &[(500, &openai::content("one")), (500, DONE)]);
    assert_eq!(meter.times("response_head_seconds"), (1.0, 0.0));
    assert_eq!(meter.times("request_duration_seconds"), (1.0, 1_000.0));
}

#[test]
fn a_long_stream_is_visible_while_it_runs() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let word = Step::data(&openai::content("on"));
        let mut body = meter.typed(SSE, Script::new(std::iter::repeat_n(word, 601)));
        for _ in 0..601 {
            time.advance(Duration::from_secs(1));
            poll_once(&mut body);
        }
        assert_eq!(meter.sum("inter_token_latency_seconds_count", &[]), Some(600.0));
        assert_eq!(meter.sum("output_tokens_total", &[]), Some(601.0));
        assert_eq!(meter.sum("request_duration_seconds_count", &[]), Some(0.0));
    });
}

#[test]
fn token_times_begin_where_the_endpoint_says() {
    use http_body_util::BodyExt as _;
    use tower::{Layer as _, Service as _};

    for (start, first) in
        [(TokenStart::Call, 90.0), (TokenStart::Arrival, 100.0), (TokenStart::BodyRead, 30.0)]
    {
        let meter = Meter::with(EndpointOptions::new().token_start(start));
        let accept = dynamo_metrics_tower::AcceptLayer::new(&meter.registry).unwrap();
        let time = Manual::new();
        time.run(|| {
            let (waits, served) = (time.clone(), time.clone());
            let handler = tower::service_fn(move |request: http::Request<_>| {
                let time = served.clone();
                async move {
                    let body: dynamo_metrics_tower::RequestBody<Script> = request.into_body();
                    time.advance(ms(60));
                    let _ = body.collect().await;
                    time.advance(ms(30));
                    let script = Script::new([Step::data(&openai::content("one"))]);
                    let answer = http::Response::builder().header("content-type", SSE);
                    Ok::<_, std::convert::Infallible>(answer.body(script).unwrap())
                }
            });
            let measured = meter.layer.layer(handler);
            // What stands between the two makes the request wait.
            let between = tower::service_fn(move |request| {
                waits.advance(ms(10));
                measured.clone().call(request)
            });
            let upload = Script::new([Step::data("one"), Step::data("two")]);
            let call = accept.layer(between).call(http::Request::new(upload));
            let response = futures_util::FutureExt::now_or_never(call).unwrap().unwrap();
            poll_once(&mut response.into_body());
        });
        assert_eq!(meter.times("time_to_first_token_seconds"), (1.0, first), "{start:?}");
    }
}
