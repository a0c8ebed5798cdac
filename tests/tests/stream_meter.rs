//! Producers that stamp their tokens: the model's times, whatever the client does.

mod meter;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::llm::StreamMeter;
use dynamo_metrics_tests::openai::{self, DONE};
use dynamo_metrics_tests::script::{Step, poll_once};
use dynamo_metrics_tower::{RequestBody, ResponseBody};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{Empty, StreamBody};
use tower::{Layer as _, Service as _, service_fn};

use crate::meter::Meter;

/// What a frame of the experiment weighs, and what its client takes at once.
const EVENT: usize = 12 * 1024;
const READ: usize = 64 * 1024;
const TOKENS: usize = 100;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// An event of [`EVENT`] bytes.
fn event() -> Bytes {
    openai::content(&"x".repeat(EVENT)).into()
}

/// Serves one request with the body that `make` makes of it, within the layer.
fn serve<B>(meter: &Meter, make: impl FnOnce() -> B) -> ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    let mut make = Some(make);
    let mut service = meter.layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| {
        let body = make.take().unwrap()();
        let response = Response::builder().header("content-type", "text/event-stream");
        std::future::ready(Ok::<_, Infallible>(response.body(body).unwrap()))
    }));
    let request = Request::new(Empty::new());
    service.call(request).now_or_never().unwrap().unwrap().into_body()
}

type Frames = Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

fn framed(events: impl Stream<Item = Bytes> + Send + 'static) -> StreamBody<Frames> {
    StreamBody::new(events.map(|event| Ok(Frame::data(event))).boxed())
}

/// Takes frames until as many bytes are there as a client reads at once, or there are none.
fn read_some<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> bool {
    let mut read = 0;
    while read < READ {
        match poll_once(body) {
            Some(Step::Data(data)) => read += data.len(),
            Some(Step::Pending) => break,
            _ => return false,
        }
    }
    true
}

/// A generator that is pulled: each token takes ten milliseconds from when it is asked for.
fn pulled(time: &Manual) -> impl Stream<Item = Bytes> + Send + use<> {
    let (time, mut left) = (time.clone(), TOKENS);
    stream::poll_fn(move |_: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        time.advance(ms(10));
        Poll::Ready(Some(event()))
    })
}

#[test]
fn a_pulled_generator_shows_in_the_wait_and_its_slow_client_in_the_stall() {
    let (meter, time) = (Meter::new(), Manual::new());
    let mut turns = 0.0;
    time.run(|| {
        let mut body = serve(&meter, || framed(pulled(&time)));
        while read_some(&mut body) {
            time.advance(ms(50));
            turns += 1.0;
        }
    });
    let gaps = TOKENS as f64 - 1.0;
    assert_eq!(meter.times("inter_token_wait_seconds"), (gaps, gaps * 10.0));
    assert_eq!(meter.times("stream_stall_seconds"), (1.0, turns * 50.0));
    // Six events fill a read, so that the client is the slower by far.
    let (_, delivered) = meter.times("inter_token_latency_seconds");
    assert!(delivered > gaps * 10.0 + (turns - 1.0) * 49.0, "{delivered}");
}

#[test]
fn a_metered_generator_reads_the_same_whoever_pulls_it() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let mut body = serve(&meter, || framed(StreamMeter::current().metered(pulled(&time))));
        while read_some(&mut body) {
            time.advance(ms(50));
        }
    });
    let gaps = TOKENS as f64 - 1.0;
    assert_eq!(meter.times("generation_inter_token_latency_seconds"), (gaps, gaps * 10.0));
    assert_eq!(meter.times("generation_time_to_first_token_seconds"), (1.0, 10.0));
}

#[test]
fn a_pushing_generator_shows_where_it_stamps_and_nowhere_else() {
    let (meter, time) = (Meter::new(), Manual::new());
    let stall = time.run(|| {
        let channel = Arc::new(Mutex::new(VecDeque::new()));
        let (mut producer, out) = (None, Arc::clone(&channel));
        let mut body = serve(&meter, || {
            producer = Some(StreamMeter::current());
            framed(stream::poll_fn(move |_| match out.lock().unwrap().pop_front() {
                Some(event) => Poll::Ready(event),
                None => Poll::Pending,
            }))
        });
        let producer = producer.unwrap();
        // Every 10 ms a token is made and waits in the channel; every 50 ms the client reads.
        let (mut made, mut open, mut tick) = (0, true, 0);
        while open {
            time.advance(ms(10));
            tick += 1;
            if made < TOKENS {
                made += 1;
                producer.tokens(1);
                channel.lock().unwrap().push_back(Some(event()));
            } else {
                channel.lock().unwrap().push_back(None);
            }
            if tick % 5 == 0 {
                // Two frames of a read of its own, so that the channel fills up.
                for _ in 0..2 {
                    open = open && poll_once(&mut body).is_some();
                }
            }
        }
        tick * 10
    });
    let gaps = TOKENS as f64 - 1.0;
    assert_eq!(meter.times("generation_inter_token_latency_seconds"), (gaps, gaps * 10.0));
    assert_eq!(meter.times("generation_time_to_first_token_seconds"), (1.0, 10.0));
    // The body alone knows nothing of the generator: all that it sees is the client.
    assert_eq!(meter.times("inter_token_wait_seconds"), (gaps, 0.0));
    let (_, stalled) = meter.times("stream_stall_seconds");
    assert!(stalled > 0.9 * f64::from(stall), "{stalled} of {stall}");
}

#[test]
fn what_holds_tokens_back_lies_between_the_two_first_tokens() {
    let (meter, time) = (Meter::new(), Manual::new());
    time.run(|| {
        let mut producer = None;
        let mut body = serve(&meter, || {
            producer = Some(StreamMeter::current());
            framed(stream::iter([Bytes::from(openai::content("Hi")), DONE.into()]))
        });
        time.advance(ms(200));
        producer.unwrap().tokens(1);
        time.advance(ms(7_800));
        while poll_once(&mut body).is_some() {}
    });
    assert_eq!(meter.times("generation_time_to_first_token_seconds"), (1.0, 200.0));
    assert_eq!(meter.times("time_to_first_token_seconds"), (1.0, 8_000.0));
}

#[test]
fn a_producer_that_counts_its_tokens_makes_them_exact() {
    let meter = Meter::new();
    let mut body = serve(&meter, || {
        StreamMeter::current().tokens(7);
        framed(stream::iter([Bytes::from(openai::content("seven")), DONE.into()]))
    });
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(7.0));
    assert_eq!(meter.sum("estimated_output_tokens_total", &[]), None);
}

#[test]
fn a_client_that_leaves_what_is_complete_has_all_of_it() {
    let meter = Meter::new();
    let run = |complete: bool| {
        let mut body = serve(&meter, || {
            let producer = StreamMeter::current();
            if complete {
                producer.complete();
            }
            framed(stream::iter([openai::content("Hi").into()]).chain(stream::pending()))
        });
        poll_once(&mut body);
    };
    run(true);
    run(false);
    assert_eq!(meter.outcomes(), [("success", 1.0), ("cancelled", 1.0)]);
}

#[test]
fn what_a_producer_counts_is_there_whatever_the_body_is() {
    let meter = Meter::new();
    let mut service = meter.layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| {
        StreamMeter::current().tokens(7);
        let response = Response::builder().header("content-type", "text/plain");
        let body = response.body(framed(stream::iter([Bytes::from_static(b"seven words")])));
        std::future::ready(Ok::<_, Infallible>(body.unwrap()))
    }));
    let response = service.call(Request::new(Empty::new())).now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(7.0));
}

#[test]
fn a_count_of_fewer_tokens_than_came_is_no_count() {
    let meter = Meter::new();
    let mut body = serve(&meter, || {
        StreamMeter::current().tokens(1);
        let words = ["one", "two", "three"].map(|word| Bytes::from(openai::content(word)));
        framed(stream::iter(words.into_iter().chain([DONE.into()])))
    });
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(3.0));
    assert_eq!(meter.sum("estimated_output_tokens_total", &[]), Some(3.0));
}

#[test]
fn a_call_of_grpc_that_is_complete_succeeds_though_its_client_waits_for_no_status() {
    let meter = Meter::new();
    let mut service = meter.layer.layer(service_fn(|_: Request<RequestBody<Empty<Bytes>>>| {
        StreamMeter::current().complete();
        let response = Response::builder().header("content-type", "application/grpc");
        let message = Bytes::from_static(b"\0\0\0\0\x02hi");
        let body = response.body(framed(stream::iter([message]).chain(stream::pending())));
        std::future::ready(Ok::<_, Infallible>(body.unwrap()))
    }));
    let response = service.call(Request::new(Empty::new())).now_or_never().unwrap().unwrap();
    poll_once(&mut response.into_body());
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn a_meter_of_nobodys_request_records_nothing_and_passes_its_stream_on() {
    let items = StreamMeter::current().metered(stream::iter([1, 2, 3]));
    assert_eq!(items.collect::<Vec<_>>().now_or_never(), Some(vec![1, 2, 3]));
}

#[tokio::test]
async fn a_meter_goes_with_a_task_and_clones_are_of_one_request() {
    let meter = Meter::new();
    let (mut producer, mut second) = (None, None);
    let mut body = serve(&meter, || {
        producer = Some(StreamMeter::current());
        second = Some(StreamMeter::current());
        framed(stream::iter([Bytes::from(openai::content("two")), DONE.into()]))
    });
    let tasks = [producer, second].map(|meter| {
        let meter = meter.unwrap();
        tokio::spawn(async move { meter.clone().tokens(1) })
    });
    for task in tasks {
        task.await.unwrap();
    }
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.sum("output_tokens_total", &[]), Some(2.0));
    assert_eq!(meter.sum("generation_inter_token_latency_seconds_count", &[]), Some(1.0));
}
