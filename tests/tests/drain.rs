//! `drain` waits for bodies, not for handlers.

mod meter;
mod served;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use dynamo_metrics_tests::h1;
use dynamo_metrics_tests::script::{Script, Step, poll_once};
use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::meter::Meter;
use crate::served::{PATIENCE, layer, routes, serve};

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_layer_without_requests_is_drained() {
    assert!(Meter::new().layer.drain().now_or_never().is_some());
}

#[test]
fn a_task_that_waits_is_woken_by_the_last_body_and_not_before() {
    let meter = Meter::new();
    let script = || Script::new([Step::data("hello")]);
    let (mut first, second) = (meter.body(script()), meter.body(script()));
    let (mut drain, woken) = (meter.layer.drain(), Arc::new(Woken::default()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    for _ in 0..2 {
        assert!(drain.poll_unpin(&mut cx).is_pending());
    }
    poll_once(&mut first);
    poll_once(&mut first);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    drop(second);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert!(drain.poll_unpin(&mut cx).is_ready());
    // Who is not waited for any more wakes nobody.
    drop(first);
    drop(meter.body(script()));
}

#[tokio::test]
async fn a_stream_that_runs_is_waited_for() {
    let (gate, open) = watch::channel(false);
    let (_registry, layer) = layer();
    let address = serve(routes(&open).layer(layer.clone())).await;
    let mut client = h1::Client::open(address).await.unwrap();
    client.send(b"GET /gated HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    // The handler has returned long ago when the first event is here.
    client.read_until("Hi").await.unwrap();
    let mut drained = tokio::spawn(layer.drain());
    tokio::task::yield_now().await;
    assert!((&mut drained).now_or_never().is_none());
    gate.send_replace(true);
    tokio::time::timeout(PATIENCE, drained).await.unwrap().unwrap();
}
