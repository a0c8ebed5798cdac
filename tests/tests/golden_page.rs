//! One page in each format, to the letter: one of each metric, with all that it can have.
//!
//! The clock of tests starts at the time of day, so times are shown as what has passed since then.

use std::fmt::Write as _;
use std::time::Duration;

use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode::{self, TextEncoder, TextFormat};
use dynamo_metrics::label::LabelValue;
use dynamo_metrics::metric::visit::{Family, Series, Visitor};
use dynamo_metrics::metric::{ExemplarLabels, NativeBuckets, TraceContext};
use dynamo_metrics::registry::Registry;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::golden::check;
use prost::Message;

/// What the schema of Prometheus says, as far as we write it.
mod io_prometheus_client {
    // What is only printed has no other reader.
    #![allow(missing_docs)]

    use prost::Message;

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct MetricFamily {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) help: String,
        #[prost(int32, tag = "3")]
        pub(crate) r#type: i32,
        #[prost(message, repeated, tag = "4")]
        pub(crate) metric: Vec<Metric>,
        #[prost(string, tag = "5")]
        pub(crate) unit: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Metric {
        #[prost(message, repeated, tag = "1")]
        pub(crate) label: Vec<LabelPair>,
        #[prost(message, optional, tag = "2")]
        pub(crate) gauge: Option<Gauge>,
        #[prost(message, optional, tag = "3")]
        pub(crate) counter: Option<Counter>,
        #[prost(message, optional, tag = "4")]
        pub(crate) summary: Option<Summary>,
        #[prost(message, optional, tag = "5")]
        pub(crate) untyped: Option<Gauge>,
        #[prost(message, optional, tag = "7")]
        pub(crate) histogram: Option<Histogram>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct LabelPair {
        #[prost(string, tag = "1")]
        pub(crate) name: String,
        #[prost(string, tag = "2")]
        pub(crate) value: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Gauge {
        #[prost(double, tag = "1")]
        pub(crate) value: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Counter {
        #[prost(double, tag = "1")]
        pub(crate) value: f64,
        #[prost(message, optional, tag = "2")]
        pub(crate) exemplar: Option<Exemplar>,
        #[prost(message, optional, tag = "3")]
        pub(crate) created: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Summary {
        #[prost(uint64, tag = "1")]
        pub(crate) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(crate) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(crate) quantile: Vec<Quantile>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Quantile {
        #[prost(double, tag = "1")]
        pub(crate) quantile: f64,
        #[prost(double, tag = "2")]
        pub(crate) value: f64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Histogram {
        #[prost(uint64, tag = "1")]
        pub(crate) sample_count: u64,
        #[prost(double, tag = "2")]
        pub(crate) sample_sum: f64,
        #[prost(message, repeated, tag = "3")]
        pub(crate) bucket: Vec<Bucket>,
        #[prost(sint32, tag = "5")]
        pub(crate) schema: i32,
        #[prost(double, tag = "6")]
        pub(crate) zero_threshold: f64,
        #[prost(uint64, tag = "7")]
        pub(crate) zero_count: u64,
        #[prost(message, repeated, tag = "12")]
        pub(crate) positive_span: Vec<Span>,
        #[prost(sint64, repeated, tag = "13")]
        pub(crate) positive_delta: Vec<i64>,
        #[prost(message, optional, tag = "15")]
        pub(crate) created: Option<Timestamp>,
        #[prost(message, repeated, tag = "16")]
        pub(crate) exemplars: Vec<Exemplar>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Bucket {
        #[prost(uint64, tag = "1")]
        pub(crate) cumulative_count: u64,
        #[prost(double, tag = "2")]
        pub(crate) upper_bound: f64,
        #[prost(message, optional, tag = "3")]
        pub(crate) exemplar: Option<Exemplar>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Span {
        #[prost(sint32, tag = "1")]
        pub(crate) offset: i32,
        #[prost(uint32, tag = "2")]
        pub(crate) length: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Exemplar {
        #[prost(message, repeated, tag = "1")]
        pub(crate) label: Vec<LabelPair>,
        #[prost(double, tag = "2")]
        pub(crate) value: f64,
        #[prost(message, optional, tag = "3")]
        pub(crate) timestamp: Option<Timestamp>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(crate) struct Timestamp {
        #[prost(int64, tag = "1")]
        pub(crate) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(crate) nanos: i32,
    }
}

use io_prometheus_client::{MetricFamily, Timestamp};

const TRACE: TraceContext = TraceContext::new(0x4bf9_2f35, 0x00f0_67aa, true);

/// What another process tells, with each kind that there is.
const ENGINE: &str = "\
# TYPE batch histogram
# HELP batch Sequences of a batch, in a \\\"step\\\".
batch_bucket{le=\"1.0\"} 2
batch_bucket{le=\"8.0\"} 5 # {trace_id=\"5e\"} 3
batch_bucket{le=\"+Inf\"} 6
batch_sum 30.5
batch_count 6
# TYPE build info
build_info{version=\"0.9\"} 1
# TYPE depth gaugehistogram
depth_bucket{le=\"4.0\"} 1
depth_bucket{le=\"+Inf\"} 3
depth_gcount 3
depth_gsum 40
# TYPE engine_state stateset
engine_state{engine_state=\"idle\"} 0
engine_state{engine_state=\"busy\"} 1
# TYPE odd unknown
odd{dynamo_component=\"theirs\"} -1.5
# TYPE step_seconds summary
# UNIT step_seconds seconds
step_seconds{quantile=\"0.5\"} 0.25
step_seconds{quantile=\"0.99\"} NaN
step_seconds_sum 7.5
step_seconds_count 30
# TYPE steps counter
steps_total 30
# EOF
";

#[derive(LabelValue)]
enum Phase {
    Starting,
    Serving,
}

/// When the first series was made, in milliseconds since 1970.
#[derive(Default)]
struct Start(Option<u64>);

impl Visitor for Start {
    fn family(&mut self, _: &Family<'_>) {}

    fn series(&mut self, series: &Series<'_>) {
        self.0 = series.created.into_iter().chain(self.0).min();
    }
}

/// The tree, with a quarter of a second between one metric and the next.
fn tree(time: &Manual) -> Registry {
    let pass = || time.advance(Duration::from_millis(250));
    let registry = Registry::builder().worker_id(0x1f).build();
    let scope = registry.namespace("prod-a").component("api");
    let help = "Calls, with a \\, a \"quote\" and\na second line.";
    let calls = scope.counter("calls_total", help).exemplars().register().unwrap();
    pass();
    scope
        .float_counter("work_seconds_total", "Work.")
        .unit(Unit::Seconds)
        .register()
        .unwrap()
        .inc_by(0.5);
    pass();
    let level = scope.gauge("level", "").dynamic_family(["text", "empty"]).unwrap();
    level.with_ref(["a \"quote\", a \\ and\na line, größe 🦀", ""], |level| level.set(-3));
    level.with_ref(["", "x"], |level| level.set(3));
    scope.float_gauge("ratio", "").register().unwrap().set(f64::INFINITY);
    pass();
    let waits =
        scope.histogram("wait_seconds", "Waits.").unit(Unit::Seconds).buckets([0.1, 1.0, 10.0]);
    let native = NativeBuckets::new(0, 0.125, 8.0).unwrap();
    let waits = waits.native(native).exemplars().register().unwrap();
    pass();
    {
        let _entered = TRACE.enter();
        calls.inc();
        waits.observe(0.25);
        pass();
        waits.observe(100.0);
    }
    let own = ExemplarLabels::new([("key", "a \"quote\"\n")]).unwrap();
    calls.inc_by_with_exemplar(1_000_000, &own);
    for sample in [0.0, 0.25, 0.75, 1.0, 7.5, f64::NAN] {
        waits.observe(sample);
    }
    scope.info("build_info", "What runs.").label("version", "1.4").register().unwrap();
    let phase = scope.state_set("phase", "What it does.").register().unwrap();
    phase.set(&Phase::Starting);
    phase.set(&Phase::Serving);
    let engine = registry.namespace("prod-a").component("engine");
    engine.add_expfmt_callback(|| Ok::<_, std::io::Error>(ENGINE.to_owned()));
    registry
}

/// The page with times as what has passed since the start.
fn since_start(page: &str, start: u64) -> String {
    let line = |line: &str| {
        let is_timed =
            line.contains(" # {") || line.split(['{', ' ']).next()?.ends_with("_created");
        let (rest, seconds) = line.rsplit_once(' ').filter(|_| is_timed)?;
        // An exemplar that others told may have no time, and ends in its value.
        let seconds = seconds.parse::<f64>().ok().filter(|seconds| *seconds > 1e9)?;
        let passed = seconds * 1e3 - start as f64;
        Some(format!("{rest} start+{} ms", passed.round()))
    };
    let lines = page.lines().map(|text| line(text).unwrap_or_else(|| text.to_owned()) + "\n");
    lines.collect()
}

fn text(registry: &Registry, format: TextFormat) -> String {
    let mut encoder = TextEncoder::new(format).created(true);
    registry.gather(&mut encoder);
    encoder.finish()
}

/// The messages of a page, one after another.
fn read(mut page: &[u8], start: u64) -> String {
    let mut text = String::new();
    let pass = |time: &mut Option<Timestamp>| {
        if let Some(time) = time {
            let passed = time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
            let passed = passed - i64::try_from(start).unwrap();
            let nanos = i32::try_from(passed % 1_000 * 1_000_000).unwrap();
            (time.seconds, time.nanos) = (passed / 1_000, nanos);
        }
    };
    while !page.is_empty() {
        let mut family = MetricFamily::decode_length_delimited(&mut page).unwrap();
        for metric in &mut family.metric {
            if let Some(counter) = &mut metric.counter {
                pass(&mut counter.created);
                counter.exemplar.iter_mut().for_each(|it| pass(&mut it.timestamp));
            }
            if let Some(histogram) = &mut metric.histogram {
                pass(&mut histogram.created);
                let classic = histogram.bucket.iter_mut().flat_map(|it| &mut it.exemplar);
                let all = classic.chain(&mut histogram.exemplars);
                all.for_each(|it| pass(&mut it.timestamp));
            }
        }
        writeln!(text, "{family:#?}").unwrap();
    }
    text
}

/// A page of the tree, and when the tree was made.
fn page<T>(encode: impl FnOnce(&Registry) -> T) -> (T, u64) {
    let time = Manual::new();
    time.run(|| {
        let registry = tree(&time);
        let mut start = Start::default();
        registry.gather(&mut start);
        (encode(&registry), start.0.unwrap())
    })
}

#[test]
fn the_text_page_is_the_golden_one() {
    let (page, start) = page(|registry| text(registry, TextFormat::Text));
    check("page.txt", &since_start(&page, start));
}

#[test]
fn the_openmetrics_page_is_the_golden_one() {
    let (page, start) = page(|registry| text(registry, TextFormat::OpenMetrics));
    check("page.openmetrics", &since_start(&page, start));
}

#[test]
fn the_protobuf_page_is_the_golden_one() {
    let (page, start) = page(encode::protobuf);
    check("page.protobuf.txt", &read(&page, start));
}
