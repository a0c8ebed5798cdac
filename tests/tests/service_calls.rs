//! The service side of the layer: what counts before there is a body, and what it passes through.

mod meter;

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes};
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::script::{Broken, Script, Step, poll_once};
use dynamo_metrics_tower::{
    Accept, AcceptLayer, Metrics, MetricsLayer, RequestBody, ResponseBody, ResponseFuture, Timeout,
};
use futures_util::FutureExt as _;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Empty, Full};
use tower::timeout::TimeoutLayer;
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};

use crate::meter::Meter;

type In = Request<RequestBody<Full<Bytes>>>;

/// Whether a type has a trait, told by which of two constants of one name is nearer.
macro_rules! has {
    ($type:ty: $bound:path) => {{
        #[allow(dead_code)] // It is in the way of no constant if the type has the trait.
        trait Fallback {
            const HAS: bool = false;
        }
        impl<T> Fallback for Probe<T> {}
        struct Probe<T>(PhantomData<T>);
        #[allow(dead_code)]
        impl<T: $bound> Probe<T> {
            const HAS: bool = true;
        }
        Probe::<$type>::HAS
    }};
}

/// A body that borrows what it sends.
struct Borrowed<'a>(&'a [u8]);

/// A body of one frame that lies in two pieces.
struct Pieces(Option<Chain<Bytes, Bytes>>);

/// A service that can be neither cloned nor sent.
struct Homebody(Rc<Cell<u32>>);

fn hello() -> Request<Full<Bytes>> {
    Request::new(Full::new(Bytes::from_static(b"hello")))
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

impl Body for Borrowed<'_> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = std::mem::take(&mut self.0);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(Bytes::copy_from_slice(data)))))
    }
}

impl Body for Pieces {
    type Data = Chain<Bytes, Bytes>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

impl<B> Service<Request<B>> for Homebody {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        self.0.set(self.0.get() + 1);
        ready(Ok(Response::default()))
    }
}

#[test]
fn being_ready_is_no_request() {
    let meter = Meter::new();
    let mut service =
        meter.layer.layer(service_fn(|_: In| pending::<Result<Response<Script>, Broken>>()));
    assert!(poll(Pin::new(&mut service.ready())).is_ready());
    let counts = meter.counts();
    assert_eq!((counts.started, counts.in_flight), (0.0, 0.0));
}

#[test]
fn a_request_is_in_flight_from_its_call_to_the_end_of_its_body() {
    let meter = Meter::new();
    let script = Script::new([Step::data("hello")]);
    let mut service = meter
        .layer
        .layer(service_fn(move |_: In| ready(Ok::<_, Broken>(Response::new(script.clone())))));
    let future = service.call(hello());
    assert_eq!(meter.counts().in_flight, 1.0);
    let mut body = future.now_or_never().unwrap().unwrap().into_body();
    assert_eq!(meter.counts().in_flight, 1.0);
    poll_once(&mut body);
    assert_eq!(meter.counts().in_flight, 1.0);
    poll_once(&mut body);
    assert_eq!(meter.counts().in_flight, 0.0);
}

#[test]
fn a_call_that_is_dropped_unpolled_is_started_and_cancelled() {
    let meter = Meter::new();
    let mut service =
        meter.layer.layer(service_fn(|_: In| pending::<Result<Response<Script>, Broken>>()));
    drop(service.call(hello()));
    let counts = meter.counts();
    assert_eq!((counts.started, counts.ended, counts.in_flight), (1.0, 1.0, 0.0));
    assert_eq!(counts.outcomes, [("cancelled", 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_the_layer_cancels_the_request() {
    let meter = Meter::new();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .layer(meter.layer.clone())
        .service_fn(|_: In| pending::<Result<Response<Script>, Broken>>());
    assert!(service.oneshot(hello()).await.is_err());
    assert_eq!(meter.outcomes(), [("cancelled", 1.0)]);
    assert!(meter.counts().is_settled());
}

#[tokio::test(start_paused = true)]
async fn a_timeout_that_is_not_reached_cancels_nothing() {
    let meter = Meter::new();
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .layer(meter.layer.clone())
        .service_fn(|_: In| {
            ready(Ok::<_, Broken>(Response::new(Full::new(Bytes::from_static(b"hi")))))
        });
    service.oneshot(hello()).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
}

#[test]
fn an_error_of_the_service_is_a_server_error_and_passed_on() {
    let meter = Meter::new();
    let service = meter.layer.layer(service_fn(|_: In| ready(Err::<Response<Script>, _>(Broken))));
    assert_eq!(service.oneshot(hello()).now_or_never().unwrap().err(), Some(Broken));
    assert_eq!(meter.outcomes(), [("server_error", 1.0)]);
    assert!(meter.counts().is_settled());
}

#[test]
fn a_panic_in_the_call_of_the_inner_service_is_one() {
    let meter = Meter::new();
    let mut service = meter.layer.layer(service_fn(
        |_: In| -> std::future::Ready<Result<Response<Script>, Broken>> { panic!("in the call") },
    ));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(service.call(hello())))).is_err());
    assert_eq!(meter.outcomes(), [("panic", 1.0)]);
    assert!(meter.counts().is_settled());
}

#[test]
fn a_panic_while_the_answer_is_made_is_one() {
    let meter = Meter::new();
    let service = meter.layer.layer(service_fn(|_: In| async {
        assert!(std::hint::black_box(false), "in the poll");
        Ok::<_, Broken>(Response::new(Script::new([])))
    }));
    assert!(catch_unwind(AssertUnwindSafe(|| service.oneshot(hello()).now_or_never())).is_err());
    assert_eq!(meter.outcomes(), [("panic", 1.0)]);
    assert!(meter.counts().is_settled());
}

#[test]
fn request_bytes_count_as_the_service_reads_them() {
    let meter = Meter::new();
    let script = Script::new([Step::data("milk"), Step::data("syrup")]);
    let bytes = || meter.counts().request_bytes;
    let service = meter.layer.layer(service_fn(|request: Request<RequestBody<Script>>| {
        let mut body = request.into_body();
        let mut seen = vec![bytes()];
        while poll_once(&mut body).is_some() {
            seen.push(bytes());
        }
        assert_eq!(seen, [0.0, 4.0, 9.0]);
        ready(Ok::<_, Broken>(Response::new(Script::new([Step::data("earl grey tea")]))))
    }));
    let response = service.oneshot(Request::new(script)).now_or_never().unwrap().unwrap();
    let mut body = response.into_body();
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.counts().request_bytes, 9.0);
    assert_eq!(meter.counts().response_bytes, 13.0);
}

#[test]
fn a_request_body_that_nobody_reads_has_no_bytes() {
    let meter = Meter::new();
    let service = meter
        .layer
        .layer(service_fn(|_: In| ready(Ok::<_, Broken>(Response::new(Script::new([]))))));
    drop(service.oneshot(hello()).now_or_never().unwrap().unwrap());
    assert_eq!(meter.counts().request_bytes, 0.0);
}

#[test]
fn a_frame_in_pieces_counts_all_of_them() {
    let meter = Meter::new();
    let pieces = || Pieces(Some(Bytes::from_static(b"milk").chain(Bytes::from_static(b"syrup"))));
    let service =
        meter.layer.layer(service_fn(|request: Request<RequestBody<Pieces>>| async move {
            request.into_body().collect().await?;
            Ok::<_, Infallible>(Response::new(pieces()))
        }));
    let response = service.oneshot(Request::new(pieces())).now_or_never().unwrap().unwrap();
    response.into_body().collect().now_or_never().unwrap().unwrap();
    let counts = meter.counts();
    assert_eq!((counts.request_bytes, counts.response_bytes), (9.0, 9.0));
}

#[test]
fn a_measured_service_is_clone_send_and_sync_exactly_when_its_inner_one_is() {
    assert!(has!(MetricsLayer: Clone) && has!(MetricsLayer: Send) && has!(MetricsLayer: Sync));
    assert!(has!(Metrics<u8>: Clone));
    assert!(has!(Metrics<u8>: Send) && has!(Metrics<u8>: Sync));
    assert!(!has!(Metrics<std::sync::Mutex<u8>>: Clone));
    assert!(!has!(Metrics<Rc<u8>>: Send) && !has!(Metrics<Rc<u8>>: Sync));
    assert!(has!(Metrics<Cell<u8>>: Send) && !has!(Metrics<Cell<u8>>: Sync));
}

#[test]
fn the_layers_around_a_measured_service_are_clone_send_and_sync_as_it_is() {
    assert!(has!(Accept<u8>: Clone) && has!(Accept<u8>: Send) && has!(Accept<u8>: Sync));
    assert!(!has!(Accept<std::sync::Mutex<u8>>: Clone) && !has!(Accept<Rc<u8>>: Send));
    assert!(has!(Timeout<u8>: Clone) && has!(Timeout<u8>: Send) && !has!(Timeout<Rc<u8>>: Sync));
    assert!(has!(ResponseFuture<u8>: Send) && !has!(ResponseFuture<Rc<u8>>: Send));
    assert!(has!(ResponseFuture<Cell<u8>>: Send) && !has!(ResponseFuture<Cell<u8>>: Sync));
}

#[test]
fn functions_that_cannot_be_printed_make_layers_that_can() {
    let scope = Registry::new().component("api");
    let held = std::sync::Mutex::new(Box::new(|| Some(0_usize)) as Box<dyn Fn() -> _ + Send>);
    let layer = MetricsLayer::builder(&scope)
        .choose(["chosen"], move |_| (held.lock().unwrap())())
        .stream_reader(|_| None)
        .build()
        .unwrap();
    let accept = AcceptLayer::new(&scope).unwrap().reasons(|_: &Broken| None);
    let service = accept.layer(
        layer.layer(service_fn(|_: In| ready(Ok::<_, Broken>(Response::new(Script::new([])))))),
    );
    assert!(format!("{layer:?}").contains("Routes"));
    let answer = service.clone().oneshot(hello());
    assert!(answer.now_or_never().unwrap().is_ok());
}

#[test]
fn measured_bodies_are_send_and_sync_exactly_when_their_inner_ones_are() {
    assert!(has!(ResponseBody<u8>: Send) && has!(ResponseBody<u8>: Sync));
    assert!(has!(RequestBody<u8>: Send) && has!(RequestBody<u8>: Sync));
    assert!(!has!(ResponseBody<Rc<u8>>: Send) && !has!(RequestBody<Rc<u8>>: Send));
    assert!(has!(ResponseBody<Cell<u8>>: Send) && !has!(ResponseBody<Cell<u8>>: Sync));
    assert!(has!(RequestBody<Cell<u8>>: Send) && !has!(RequestBody<Cell<u8>>: Sync));
}

#[test]
fn a_service_that_cannot_be_cloned_can_be_measured() {
    let (meter, calls) = (Meter::new(), Rc::new(Cell::new(0)));
    let mut service = meter.layer.layer(Homebody(Rc::clone(&calls)));
    for _ in 0..2 {
        let request = Request::new(Empty::<Bytes>::new());
        service.call(request).now_or_never().unwrap().unwrap();
    }
    assert_eq!(calls.get(), 2);
    assert_eq!(meter.outcomes(), [("success", 2.0)]);
}

#[test]
fn a_body_that_borrows_can_be_measured() {
    let (meter, text) = (Meter::new(), String::from("hello"));
    let service = meter.layer.layer(service_fn(|_: In| {
        ready(Ok::<_, Infallible>(Response::new(Borrowed(text.as_bytes()))))
    }));
    let mut body = service.oneshot(hello()).now_or_never().unwrap().unwrap().into_body();
    while poll_once(&mut body).is_some() {}
    assert_eq!(meter.outcomes(), [("success", 1.0)]);
    assert_eq!(meter.counts().response_bytes, 5.0);
}
