//! A component of Dynamo's, moved here by changing its imports.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;
use dynamo_metrics::dynamo::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, MetricsHierarchy, MetricsRegistry,
};
use dynamo_metrics::encode;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::foreign::{Format, Limits, parse};
use dynamo_metrics::metric::{ExemplarLabels, NativeBuckets};
use dynamo_metrics::name::LabelNameError;
use dynamo_metrics::registry::{RegisterError, Registry};

/// What an endpoint's ingress measures, as Dynamo writes it.
struct WorkHandlerMetrics {
    request_counter: IntCounter,
    request_duration: Histogram,
    inflight_requests: IntGauge,
    error_counter: IntCounterVec,
    steps: HistogramVec,
}

impl WorkHandlerMetrics {
    fn from_endpoint(
        endpoint: &impl MetricsHierarchy,
        labels: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let metrics = endpoint.metrics();
        Ok(Self {
            request_counter: metrics.create_intcounter(
                "requests_total",
                "Total number of requests processed by work handler",
                labels,
            )?,
            request_duration: metrics.create_histogram(
                "request_duration_seconds",
                "Time spent processing requests by work handler",
                labels,
                None,
            )?,
            inflight_requests: metrics.create_intgauge(
                "inflight_requests",
                "Number of requests currently being processed by work handler",
                labels,
            )?,
            error_counter: metrics.create_intcountervec(
                "errors_total",
                "Total number of errors in work handler processing",
                &["error_type"],
                labels,
            )?,
            steps: metrics.create_histogramvec(
                "step_seconds",
                "Time of a step",
                &["phase"],
                labels,
                Some(vec![0.1, 1.0]),
            )?,
        })
    }

    fn handle(&self, seconds: f64, error: Option<&str>) {
        self.request_counter.inc();
        self.inflight_requests.inc();
        self.steps.with_label_values(&["decode"]).observe(seconds);
        self.request_duration.observe(seconds);
        if let Some(error) = error {
            self.error_counter.with_label_values(&[error]).inc();
        }
        self.inflight_requests.dec();
    }
}

#[test]
fn a_component_of_dynamo_shows_what_it_shows_there() -> anyhow::Result<()> {
    let drt = Registry::builder().worker_id(0x694d_9ba5).build();
    let endpoint = drt.namespace("my-ns").component("my.comp").endpoint("generate");
    let handler = WorkHandlerMetrics::from_endpoint(&endpoint, &[("model", "m")])?;
    handler.handle(0.5, None);
    handler.handle(0.5, Some("generate"));

    let uptime = drt.metrics().create_gauge("uptime_seconds", "Uptime of the runtime", &[])?;
    drt.get_metrics_registry().add_update_callback(Arc::new(move || {
        uptime.set("12.5".parse().context("no uptime")?);
        Ok(())
    }));
    let labels = "dynamo_component=\"my_comp\",dynamo_endpoint=\"generate\",\
                  dynamo_namespace=\"my_ns\"";
    let tail = "model=\"m\",worker_id=\"694d9ba5\"}";
    let page = drt.metrics().prometheus_expfmt()?;
    for line in [
        "# HELP dynamo_component_requests_total Total number of requests processed by work handler",
        "# TYPE dynamo_component_requests_total counter",
        &format!("dynamo_component_requests_total{{{labels},{tail} 2"),
        &format!("dynamo_component_inflight_requests{{{labels},{tail} 0"),
        &format!("dynamo_component_errors_total{{{labels},error_type=\"generate\",{tail} 1"),
        &format!(
            "dynamo_component_request_duration_seconds_bucket{{{labels},model=\"m\",\
             worker_id=\"694d9ba5\",le=\"0.005\"}} 0"
        ),
        &format!("dynamo_component_request_duration_seconds_count{{{labels},{tail} 2"),
        &format!(
            "dynamo_component_step_seconds_bucket{{{labels},model=\"m\",phase=\"decode\",\
             worker_id=\"694d9ba5\",le=\"1\"}} 2"
        ),
        "# TYPE dynamo_component_uptime_seconds gauge",
        "dynamo_component_uptime_seconds{worker_id=\"694d9ba5\"} 12.5",
    ] {
        assert!(page.lines().any(|there| there == line), "{line} in {page}");
    }
    let bounds = page.lines().filter(|line| line.contains("request_duration_seconds_bucket"));
    assert_eq!(bounds.count(), 12, "{page}");
    assert_eq!(page, encode::text(&drt));
    Ok(())
}

#[test]
fn names_and_labels_follow_dynamos_rules() {
    let drt = Registry::new();
    let endpoint = drt.namespace("n").component("c").endpoint("e");
    let metrics = endpoint.metrics();
    for (name, exposed) in [
        ("123abc", "dynamo_component__123abc"),
        (":lead", "dynamo_component__:lead"),
        ("a b-c.d", "dynamo_component_a_b_c_d"),
        ("dynamo_component_once", "dynamo_component_once"),
    ] {
        metrics.create_intgauge(name, "", &[]).unwrap();
        assert!(endpoint.get_metrics_registry().has_metric_named(exposed), "{exposed}");
    }
    for name in ["", "___"] {
        assert!(matches!(metrics.create_counter(name, "", &[]), Err(RegisterError::Name(_))));
    }
    for label in ["dynamo_namespace", "dynamo_component", "dynamo_endpoint", "worker_id", "le"] {
        let constant = metrics.create_gauge("x", "", &[(label, "v")]);
        let reserved = || RegisterError::from(LabelNameError::Reserved(label.to_owned()));
        assert_eq!(constant.err(), Some(reserved()));
        let varying = metrics.create_gaugevec("x", "", &[label], &[]);
        assert_eq!(varying.err(), Some(reserved()));
    }
    let twice = LabelNameError::Repeated("a".to_owned());
    let constants = metrics.create_counter("x", "", &[("a", "1"), ("a", "2")]);
    assert_eq!(constants.err(), Some(twice.clone().into()));
    let both = metrics.create_countervec("x", "", &["a"], &[("a", "1")]);
    assert_eq!(both.err(), Some(twice.into()));
    let none = metrics.create_intgaugevec("x", "", &[], &[("a", "1")]);
    assert_eq!(none.err(), Some(RegisterError::NoLabels { name: "x".to_owned() }));
    let other = metrics.create_intcounter("a_b_c_d", "", &[]);
    assert!(matches!(other, Err(RegisterError::Conflict { .. })));
    // What failed left nothing, and would be in nobody's way.
    assert!(!endpoint.get_metrics_registry().has_metric_named("dynamo_component_x"));
}

#[test]
fn vectors_find_their_metrics_by_values() {
    let drt = Registry::new();
    let metrics = drt.metrics();
    let counters = metrics.create_countervec("c", "", &["b", "a"], &[("k", "v")]).unwrap();
    assert!(!drt.get_metrics_registry().has_metric_named("dynamo_component_c"));
    counters.with_label_values(&["1", "2"]).inc_by(0.5);
    counters.with_label_values(&[String::from("1"), String::from("2")]).inc();
    assert_eq!(counters.with_label_values(&["1", "2"]).get(), 1.5);
    let page = metrics.prometheus_expfmt().unwrap();
    assert!(page.contains("dynamo_component_c{a=\"2\",b=\"1\",k=\"v\"} 1.5\n"), "{page}");

    // Too few and too many are nobody's.
    counters.with_label_values(&["1"]).inc();
    counters.with_label_values(&["1", "2", "3"]).inc();
    assert!(counters.get_metric_with_label_values(&["1"; 20]).is_none());
    assert!(!counters.remove_label_values(&["1"]));
    let page = metrics.prometheus_expfmt().unwrap();
    let bad = "dynamo_metrics_invalid_samples_total{family=\"dynamo_component_c\"} 2\n";
    assert!(page.contains(bad), "{page}");
    assert_eq!(page.matches("\ndynamo_component_c{").count(), 1, "{page}");

    assert!(counters.remove_label_values(&["1", "2"]));
    assert!(!counters.remove_label_values(&["1", "2"]));
    assert!(!metrics.prometheus_expfmt().unwrap().contains("dynamo_component_c{"));

    let gauges = metrics.create_gaugevec("g", "", &["a"], &[]).unwrap();
    let gauge = gauges.with_label_values(&["x"]);
    gauge.set(2.0);
    gauge.inc();
    gauge.sub(0.5);
    gauge.dec();
    assert_eq!(gauges.with_label_values(&["x"]).get(), 1.5);
    let gauges = metrics.create_intgaugevec("i", "", &["a"], &[]).unwrap();
    gauges.with_label_values(&["x"]).sub(3);
    assert_eq!(gauges.with_label_values(&["x"]).get(), -3);
}

#[test]
fn callbacks_that_fail_are_counted_and_cost_nothing_else() {
    let drt = Registry::new();
    let endpoint = drt.namespace("n").component("c").endpoint("e");
    let runs = Arc::new(AtomicI64::new(0));
    let gauge = endpoint.metrics().create_intgauge("runs", "", &[]).unwrap();
    let registry = endpoint.get_metrics_registry();
    let counted = Arc::clone(&runs);
    registry.add_update_callback(Arc::new(move || {
        gauge.set(counted.fetch_add(1, Ordering::Relaxed));
        let _: i64 = "seven".parse()?;
        Ok(())
    }));
    registry.add_expfmt_callback(Arc::new(|| {
        Ok("# TYPE engine_steps counter\nengine_steps 7\n".into())
    }));
    registry.add_expfmt_callback(Arc::new(|| Err(anyhow::anyhow!("the engine is away").into())));
    for n in 0..2 {
        let page = encode::text(&drt);
        let labels = "dynamo_component=\"c\",dynamo_endpoint=\"e\",dynamo_namespace=\"n\"";
        let failed =
            "dynamo_metrics_collect_errors_total{reason=\"failed\",source=\"update_callback\"}";
        for line in [
            format!("dynamo_component_runs{{{labels}}} {n}"),
            format!("engine_steps{{{labels}}} 7"),
            format!("{failed} {}", n + 1),
            format!(
                "dynamo_metrics_collect_errors_total{{reason=\"failed\",\
                 source=\"expfmt_callback\"}} {}",
                n + 1
            ),
        ] {
            assert!(page.lines().any(|there| there == line), "{line} in {page}");
        }
    }
}

#[test]
fn a_level_shows_itself_and_what_is_below() {
    let drt = Registry::new();
    let a = drt.namespace("a");
    let inner = a.namespace("b").component("c");
    let other = drt.namespace("other").component("c");
    for (i, scope) in (0..).zip([&a, &inner, &other]) {
        scope.metrics().create_intgauge("depth", "Depth.", &[]).unwrap().set(i);
        scope.get_metrics_registry().add_expfmt_callback(Arc::new(move || {
            Ok(format!("page{i}{{dynamo_namespace=\"raw-{i}\"}} 1\n"))
        }));
    }
    drt.metrics().create_intgauge("root_only", "", &[]).unwrap();
    let calls = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&calls);
    other.get_metrics_registry().add_update_callback(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }));
    assert_eq!(
        a.metrics().prometheus_expfmt().unwrap(),
        "# HELP dynamo_component_depth Depth.\n# TYPE dynamo_component_depth gauge\n\
         dynamo_component_depth{dynamo_namespace=\"a\"} 0\n\
         dynamo_component_depth{dynamo_component=\"c\",dynamo_namespace=\"a_b\"} 1\n\
         # TYPE page0 untyped\npage0{dynamo_namespace=\"raw-0\"} 1\n\
         # TYPE page1 untyped\npage1{dynamo_component=\"c\",dynamo_namespace=\"raw-1\"} 1\n"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    assert_eq!(
        other.get_metrics_registry().prometheus_expfmt_combined().unwrap(),
        "# HELP dynamo_component_depth Depth.\n# TYPE dynamo_component_depth gauge\n\
         dynamo_component_depth{dynamo_component=\"c\",dynamo_namespace=\"other\"} 2\n\
         # TYPE page2 untyped\npage2{dynamo_component=\"c\",dynamo_namespace=\"raw-2\"} 1\n"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(drt.namespace("empty").metrics().prometheus_expfmt().unwrap(), "");
    let has =
        |scope: &dyn MetricsHierarchy, name| scope.get_metrics_registry().has_metric_named(name);
    assert!(has(&a, "dynamo_component_depth") && !has(&drt, "dynamo_component_depth"));
    assert!(has(&drt, "dynamo_component_root_only") && !has(&a, "dynamo_component_root_only"));
    assert!(!has(&a, "depth") && !has(&a, "page0"));
}

#[test]
fn registries_within_registries_are_shown_once() {
    let drt = Registry::builder().worker_id(7).build();
    let engine = MetricsRegistry::new();
    let inner = MetricsRegistry::new();
    engine.metrics().create_intcounter("steps_total", "Steps.", &[]).unwrap().inc_by(3);
    engine
        .metrics()
        .create_histogram("step_seconds", "", &[("k", "v")], Some(vec![1.0]))
        .unwrap()
        .observe(0.5);
    let refreshed = inner.metrics().create_gauge("inner", "", &[]).unwrap();
    inner.add_update_callback(Arc::new(move || {
        refreshed.inc();
        Ok(())
    }));
    inner.add_expfmt_callback(Arc::new(|| Ok("inner_page 1\n".into())));

    let endpoint = drt.namespace("n").component("c").endpoint("e");
    endpoint.metrics().create_intcounter("steps_total", "Steps.", &[]).unwrap().inc();
    let registry = endpoint.get_metrics_registry();
    // Twice, from two levels, by way of one another, and round in circles.
    registry.add_child_registry(&engine);
    registry.add_child_registry(&engine);
    drt.get_metrics_registry().add_child_registry(&engine);
    engine.add_child_registry(&inner);
    registry.add_child_registry(&inner);
    inner.add_child_registry(&engine);
    inner.add_child_registry(&inner);
    inner.add_child_registry(&drt.get_metrics_registry());
    registry.add_child_registry(&drt.get_metrics_registry());

    let page = encode::text(&drt);
    assert_eq!(
        page,
        "# TYPE dynamo_component_inner gauge\ndynamo_component_inner 1\n\
         # TYPE dynamo_component_step_seconds histogram\n\
         dynamo_component_step_seconds_bucket{k=\"v\",le=\"1\"} 1\n\
         dynamo_component_step_seconds_bucket{k=\"v\",le=\"+Inf\"} 1\n\
         dynamo_component_step_seconds_sum{k=\"v\"} 0.5\n\
         dynamo_component_step_seconds_count{k=\"v\"} 1\n\
         # HELP dynamo_component_steps_total Steps.\n\
         # TYPE dynamo_component_steps_total counter\n\
         dynamo_component_steps_total{dynamo_component=\"c\",dynamo_endpoint=\"e\",\
         dynamo_namespace=\"n\",worker_id=\"7\"} 1\n\
         dynamo_component_steps_total 3\n\
         # TYPE inner_page untyped\ninner_page 1\n"
    );
    assert_eq!(
        endpoint.metrics().prometheus_expfmt().unwrap().lines().count(),
        page.lines().count()
    );

    // A level that goes takes them along, unless another one shows them.
    drt.namespace("n").remove();
    assert!(encode::text(&drt).contains("\ndynamo_component_steps_total 3\n"));
}

#[test]
fn a_registry_within_another_loses_nothing_on_the_way() {
    let engine = Registry::new();
    let sizes = engine.histogram("sizes", "Sizes.").buckets([1.0, 10.0]).exemplars();
    let sizes = sizes.native(NativeBuckets::default()).dynamic_family(["k"]).unwrap();
    let labels = ExemplarLabels::new([("trace_id", "a\"b")]).unwrap();
    for (k, size) in [("", 0.5), ("v", 0.25), ("v", 7.0), ("v", 1e9), ("q\"\\\n", 2.0)] {
        sizes.with([k]).observe_with_exemplar(size, &labels);
    }
    let calls = engine.counter("calls_total", "").exemplars();
    calls.register().unwrap().inc_by_with_exemplar(3, &labels);
    engine.info("build_info", "").label("version", "1").register().unwrap();
    engine.float_gauge("share", "").register().unwrap().set(-0.5);
    let read = |registry: &Registry| {
        let page = encode::protobuf(registry);
        let parsed = parse(&page, Format::Protobuf, &Limits::default());
        assert_eq!(parsed.totals, []);
        parsed.families
    };
    let drt = Registry::new();
    drt.component("c").get_metrics_registry().add_child_registry(&engine.get_metrics_registry());
    assert_eq!(read(&drt), read(&engine));
    assert_eq!(read(&drt).len(), 4);
}

#[test]
fn a_part_of_another_registry_is_shown_as_that_part() {
    let other = Registry::new();
    for name in ["shown", "hidden"] {
        let part = other.component(name);
        part.metrics().create_intgauge("depth", "", &[]).unwrap();
        part.get_metrics_registry().add_expfmt_callback(Arc::new(|| Ok("page 1\n".into())));
    }
    let drt = Registry::new();
    drt.get_metrics_registry().add_child_registry(&other.component("shown").get_metrics_registry());
    assert_eq!(
        encode::text(&drt),
        "# TYPE dynamo_component_depth gauge\n\
         dynamo_component_depth{dynamo_component=\"shown\"} 0\n\
         # TYPE page untyped\npage{dynamo_component=\"shown\"} 1\n"
    );
}

#[tokio::test]
async fn the_exporter_shows_what_dynamos_system_server_does() {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    let drt = Registry::new();
    let engine = MetricsRegistry::new();
    engine.metrics().create_intgauge("engine", "", &[]).unwrap();
    (*Registry::new()).get_metrics_registry().add_child_registry(&engine);
    drt.get_metrics_registry().add_child_registry(&engine);
    drt.get_metrics_registry().add_update_callback(Arc::new(|| Err("no".into())));
    let exporter = Exporter::new(&drt);
    for _ in 0..2 {
        let request = http::Request::get("/metrics").body(String::new()).unwrap();
        let answer = exporter.clone().oneshot(request).await.unwrap();
        let page = answer.into_body().collect().await.unwrap().to_bytes();
        let page = String::from_utf8(page.to_vec()).unwrap();
        assert!(page.contains("\ndynamo_component_engine 0\n"), "{page}");
        assert!(page.contains("{reason=\"failed\",source=\"update_callback\"}"), "{page}");
    }
}
