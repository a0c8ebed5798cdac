//! Readers that users choose, and frames that cannot be looked at: the answer passes all the same.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use dynamo_metrics::encode;
use dynamo_metrics::llm::stream::{Seen, StreamReader};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tower::{MetricsLayer, MetricsLayerBuilder};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty};
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A buffer in two pieces that shows the first alone, as a buffer may.
#[derive(Clone)]
struct Pieces(Bytes, Bytes);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.len() + self.1.len()
    }

    fn chunk(&self) -> &[u8] {
        if self.0.is_empty() { &self.1 } else { &self.0 }
    }

    fn advance(&mut self, n: usize) {
        let first = n.min(self.0.len());
        self.0.advance(first);
        self.1.advance(n - first);
    }
}

/// A body of one frame.
struct Once(Option<Pieces>);

impl Body for Once {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        Poll::Ready(self.0.take().map(|pieces| Ok(Frame::data(pieces))))
    }
}

/// Reads an answer of these pieces through the layer, and returns its bytes and what was counted.
fn read(
    choose: impl FnOnce(MetricsLayerBuilder) -> MetricsLayerBuilder,
    content_type: &'static str,
    pieces: [&str; 2],
) -> (Bytes, Page) {
    let registry = Registry::new();
    let layer = choose(MetricsLayer::builder(&registry.component("api"))).build().unwrap();
    let [first, second] = pieces.map(|piece| Bytes::copy_from_slice(piece.as_bytes()));
    let service = layer.layer(service_fn(move |_| {
        let body = Once(Some(Pieces(first.clone(), second.clone())));
        let response = Response::builder().header("content-type", content_type).body(body);
        async move { Ok::<_, Infallible>(response.unwrap()) }
    }));
    let request = Request::new(Empty::<Bytes>::new());
    let response = service.oneshot(request).now_or_never().unwrap().unwrap();
    let body = response.into_body().collect().now_or_never().unwrap().unwrap();
    (body.to_bytes(), Page::read(&encode::text(&registry)))
}

fn outcome(page: &Page, outcome: &str) -> f64 {
    let name = "dynamo_component_request_outcomes_total";
    page.sum(name, &[("outcome", outcome)]).unwrap()
}

/// A token in each line.
struct Lines;

impl StreamReader for Lines {
    fn read(&mut self, frame: &[u8], seen: &mut Seen) {
        seen.tokens += frame.split(|&byte| byte == b'\n').count() as u64 - 1;
    }
}

/// A reader with a fault of its own.
struct Panics;

impl StreamReader for Panics {
    fn read(&mut self, _: &[u8], seen: &mut Seen) {
        seen.needs_marker = true;
        panic!("a reader's own fault");
    }
}

#[test]
fn a_reader_that_is_chosen_counts_its_tokens() {
    let choose = |layer: MetricsLayerBuilder| {
        layer.stream_reader(|head| {
            let lines = head.headers["content-type"] == "text/x-lines";
            lines.then(|| Box::new(Lines) as Box<dyn StreamReader>)
        })
    };
    let (_, page) = read(choose, "text/x-lines", ["one\ntwo\nthree\n", ""]);
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), Some(3.0));
    // For the others the choice stays with the headers.
    let events = [openai::content("Hi"), DONE.to_owned()].concat();
    let (_, page) = read(choose, "text/event-stream", [&events, ""]);
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), Some(1.0));
    let (_, page) = read(choose, "text/plain", ["one\n", ""]);
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), None);
}

#[test]
fn answers_in_one_piece_and_records_are_read_too() {
    let tokens = |content_type, body| {
        let (bytes, page) = read(|layer| layer, content_type, [body, ""]);
        assert_eq!(bytes, body);
        (page.sum("dynamo_component_output_tokens_total", &[]), outcome(&page, "success"))
    };
    let answer = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#;
    assert_eq!(tokens("application/json", answer), (Some(4.0), 1.0));
    let records = "{\"response\":\"a\",\"done\":false}\n{\"done\":true,\"eval_count\":7}\n";
    assert_eq!(tokens("application/x-ndjson", records), (Some(7.0), 1.0));
    // A record that is missing, and an error under a good status.
    assert_eq!(tokens("application/x-ndjson", &records[..30]), (Some(1.0), 0.0));
    assert_eq!(tokens("application/json", r#"{"error":{"message":"no"}}"#), (None, 0.0));
}

#[test]
fn a_reader_that_panics_costs_its_tokens_and_nothing_else() {
    let choose =
        |layer: MetricsLayerBuilder| layer.stream_reader(|_| Some(Box::new(Panics) as Box<_>));
    let (bytes, page) = read(choose, "text/plain", ["one", " two"]);
    assert_eq!(bytes, "one two");
    assert_eq!(outcome(&page, "success"), 1.0);
    assert_eq!(page.sum("dynamo_component_inflight_requests", &[]), Some(0.0));
}

#[test]
fn a_choice_that_panics_leaves_the_choice_to_the_headers() {
    let choose = |layer: MetricsLayerBuilder| layer.stream_reader(|_| panic!("a fault"));
    let events = [openai::content("Hi"), DONE.to_owned()].concat();
    let (_, page) = read(choose, "text/event-stream", [&events, ""]);
    assert_eq!(outcome(&page, "success"), 1.0);
    assert_eq!(page.sum("dynamo_component_output_tokens_total", &[]), Some(1.0));
}

#[test]
fn a_frame_that_hides_a_part_of_itself_does_not_make_its_answer_incomplete() {
    let pieces = [openai::content("Hi"), DONE.to_owned()];
    let (bytes, page) = read(|layer| layer, "text/event-stream", [&pieces[0], &pieces[1]]);
    assert_eq!(bytes, pieces.concat());
    assert_eq!(outcome(&page, "success"), 1.0);
    assert_eq!(outcome(&page, "incomplete"), 0.0);
}
