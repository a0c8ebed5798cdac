//! Time to first token and between tokens, read from the body by a clock that tests move.

mod meter;

use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::script::{Script, Step, poll_once};

use crate::meter::Meter;

const SSE: &str = "text/event-stream";

/// What the token metrics say: count and sum of both histograms, then tokens.
#[derive(Debug, PartialEq)]
struct Tokens {
    first: (f64, f64),
    gaps: (f64, f64),
    output: f64,
}

impl Tokens {
    fn read(meter: &Meter) -> Self {
        let sum = |name: &str| meter.sum(name, &[]).unwrap_or_default();
        let histogram = |name: &str| (sum(&format!("{name}_count")), sum(&format!("{name}_sum")));
        let round = |(count, sum): (f64, f64)| (count, (sum * 1e6).round() / 1e6);
        Self {
            first: round(histogram("time_to_first_token_seconds")),
            gaps: round(histogram("inter_token_latency_seconds")),
            output: sum("output_tokens_total"),
        }
    }
}

/// Plays `steps`, each so many milliseconds after the one before, and then drops the body.
fn play(content_type: &'static str, steps: &[(u64, Step)]) -> Tokens {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let script = Script::new(steps.iter().map(|(_, step)| step.clone()));
        let mut body = meter.typed(content_type, script);
        for (after, step) in steps {
            time.advance(Duration::from_millis(*after));
            assert_eq!(poll_once(&mut body).as_ref(), Some(step));
        }
    });
    Tokens::read(&meter)
}

fn after(milliseconds: u64, event: &str) -> (u64, Step) {
    (milliseconds, Step::data(event))
}

#[test]
fn the_first_token_is_timed_from_the_call_and_the_others_from_the_one_before() {
    let tokens = play(
        SSE,
        &[
            after(250, &openai::content("one")),
            after(20, &openai::content("two")),
            after(30, &openai::content("three")),
            after(5, DONE),
        ],
    );
    assert_eq!(tokens, Tokens { first: (1.0, 0.25), gaps: (2.0, 0.05), output: 3.0 });
}

#[test]
fn a_chunk_with_nothing_but_a_role_is_not_the_first_token() {
    let tokens = play(
        SSE,
        &[after(1, &openai::role()), after(899, &openai::content("one")), after(10, DONE)],
    );
    assert_eq!(tokens, Tokens { first: (1.0, 0.9), gaps: (0.0, 0.0), output: 1.0 });
}

#[test]
fn keep_alive_comments_are_no_tokens() {
    let tokens = play(
        SSE,
        &[
            after(100, ":\n\n"),
            after(100, ": still here\n\n"),
            after(50, &openai::content("one")),
            after(10, ":\n\n"),
            after(10, &openai::content("two")),
        ],
    );
    assert_eq!(tokens, Tokens { first: (1.0, 0.25), gaps: (1.0, 0.02), output: 2.0 });
}

#[test]
fn a_poll_that_is_pending_moves_no_time() {
    let tokens = play(
        SSE,
        &[
            (100, Step::Pending),
            after(100, &openai::content("one")),
            (5, Step::Pending),
            (5, Step::Pending),
            after(5, &openai::content("two")),
        ],
    );
    assert_eq!(tokens, Tokens { first: (1.0, 0.2), gaps: (1.0, 0.015), output: 2.0 });
}

#[test]
fn two_tokens_in_a_chunk_are_two_gaps_of_half_the_time() {
    let tokens = play(
        SSE,
        &[
            after(100, &openai::content_with_usage("one two", 2)),
            after(40, &openai::content_with_usage("three four", 4)),
            after(60, &openai::content_with_usage("five six", 6)),
            after(1, DONE),
        ],
    );
    assert_eq!(tokens, Tokens { first: (1.0, 0.1), gaps: (4.0, 0.1), output: 6.0 });
}

#[test]
fn a_gap_of_two_tokens_stands_in_the_buckets_of_half_the_time() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let first = Step::data(&openai::content_with_usage("one two", 2));
        let second = Step::data(&openai::content_with_usage("three four", 4));
        let mut body = meter.typed(SSE, Script::new([first, second]));
        poll_once(&mut body);
        time.advance(Duration::from_secs(40));
        poll_once(&mut body);
    });
    // The gap is 40 s: only if it is shared out does anything stand in a bucket below that.
    let page = dynamo_metrics::encode::text(&meter.registry);
    let below_40 = dynamo_metrics_tests::page::Page::read(&page)
        .samples()
        .iter()
        .filter(|sample| sample.name == "dynamo_component_inter_token_latency_seconds_bucket")
        .filter(|sample| sample.labels["le"].parse::<f64>().unwrap() < 39.0)
        .map(|sample| sample.value)
        .fold(0.0, f64::max);
    assert_eq!(below_40, 2.0);
}

#[test]
fn two_events_in_one_frame_are_two_tokens() {
    let both = openai::content("one") + &openai::content("two");
    let tokens = play(SSE, &[after(100, &both), after(30, &openai::content("three"))]);
    assert_eq!(tokens.output, 3.0);
    assert_eq!(tokens.first, (1.0, 0.1));
}

#[test]
fn an_event_over_three_frames_is_one_token_at_its_last() {
    let event = openai::content("one");
    let (start, rest) = event.split_at(10);
    let (middle, end) = rest.split_at(10);
    let tokens = play(SSE, &[after(100, start), after(10, middle), after(10, end)]);
    assert_eq!(tokens, Tokens { first: (1.0, 0.12), gaps: (0.0, 0.0), output: 1.0 });
}

#[test]
fn a_stream_that_never_says_anything_has_no_first_token() {
    let tokens = play(SSE, &[after(100, &openai::role()), after(100, DONE)]);
    assert_eq!(tokens, Tokens { first: (0.0, 0.0), gaps: (0.0, 0.0), output: 0.0 });
}

#[test]
fn tokens_before_a_cancellation_count() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let script = [Step::data(&openai::content("one")), Step::Stuck];
        let mut body = meter.typed(SSE, Script::new(script));
        time.advance(Duration::from_millis(70));
        poll_once(&mut body);
    });
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
    assert_eq!(Tokens::read(&meter), Tokens { first: (1.0, 0.07), gaps: (0.0, 0.0), output: 1.0 });
}

#[test]
fn an_answer_in_one_piece_has_no_token_times() {
    let tokens = play("application/json", &[after(100, &openai::content("one"))]);
    assert_eq!(tokens, Tokens { first: (0.0, 0.0), gaps: (0.0, 0.0), output: 0.0 });
}

#[test]
fn the_duration_of_a_request_spans_its_body() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let mut body = meter.body(Script::new([Step::data("one"), Step::data("two")]));
        for _ in 0..3 {
            time.advance(Duration::from_millis(500));
            poll_once(&mut body);
        }
        // What the owner does with a body after its end is not the request's time.
        time.advance(Duration::from_secs(60));
    });
    assert_eq!(meter.sum("request_duration_seconds_count", &[]), Some(1.0));
    assert_eq!(meter.sum("request_duration_seconds_sum", &[]), Some(1.5));
}
