//! Recording allocates nothing after the first time, whichever way it goes.

use std::time::Duration;

use allocation_counter::measure;
use dynamo_metrics::label::{LabelSet, LabelValue};
use dynamo_metrics::llm::stream::{Events, Seen, Sse, StreamReader as _};
use dynamo_metrics::metric::Counter;
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;

#[derive(LabelValue)]
enum Method {
    Get,
    Post,
}

#[derive(LabelSet)]
struct Call {
    method: Method,
    cached: bool,
}

/// Runs `record` once to warm up, and tells how often it allocates after that.
fn allocations(mut record: impl FnMut()) -> u64 {
    record();
    measure(|| (0..100).for_each(|_| record())).count_total
}

#[test]
fn handles_allocate_nothing() {
    let registry = Registry::new();
    let counter = registry.counter("a_total", "").register().unwrap();
    let float = registry.float_counter("b_total", "").register().unwrap();
    let gauge = registry.gauge("c", "").register().unwrap();
    let in_flight = registry.up_down_counter("d", "").register().unwrap();
    let plain = registry.histogram("e", "").register().unwrap();
    let seconds = registry.histogram("f_seconds", "").unit(Unit::Seconds).register().unwrap();
    let record = || {
        counter.inc();
        float.inc_by(0.5);
        float.inc_by(f64::NAN);
        gauge.set(7);
        drop(in_flight.enter());
        plain.observe(0.3);
        plain.observe(-1.0);
        seconds.observe_n(0.2, 3);
        seconds.observe_duration(Duration::from_millis(30));
        seconds.start_timer().observe();
    };
    assert_eq!(allocations(record), 0);
}

#[test]
fn look_ups_allocate_nothing() {
    let registry = Registry::builder().series_cap(3).build();
    let typed = registry.counter("a_total", "").family::<Call>().unwrap();
    let open = registry.counter("b_total", "").dynamic_family(["model", "device"]).unwrap();
    let record = || {
        typed.with_ref(&Call { method: Method::Get, cached: true }, Counter::inc);
        typed.with_ref(&Call { method: Method::Post, cached: false }, Counter::inc);
        open.with_ref(["llama", "gpu0"], Counter::inc);
        open.with_ref(["with \"quotes\"", ""], Counter::inc);
        open.with(["llama", "gpu0"]).inc();
    };
    assert_eq!(allocations(record), 0);
    let mut n = 0;
    let past_the_cap = || {
        n += 1;
        let model: [&str; 4] = ["one", "two", "three", "four"];
        open.with_ref([model[n % 4], "gpu1"], Counter::inc);
    };
    past_the_cap_is_full(&open);
    assert_eq!(allocations(past_the_cap), 0);
}

/// Fills the family to its cap, and goes past it once.
fn past_the_cap_is_full(open: &dynamo_metrics::registry::DynamicFamily<Counter, 2>) {
    for device in ["gpu2", "gpu3", "gpu4"] {
        open.with_ref(["full", device], Counter::inc);
    }
}

#[test]
fn events_of_a_stream_allocate_nothing() {
    let event = b"data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\
        \"created\":1,\"model\":\"demo\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\
        \"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
    let (mut reader, mut seen) = (Sse::new(Events::default()), Seen::default());
    let (start, rest) = event.split_at(70);
    let allocated = allocations(|| {
        reader.read(event, &mut seen);
        reader.read(start, &mut seen);
        reader.read(rest, &mut seen);
    });
    assert_eq!((allocated, seen.tokens), (0, 202));
}
