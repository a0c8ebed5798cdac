//! Sets of metrics: what is derived is what is exposed, and what the catalogue says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use dynamo_metrics::clock::Manual;
use dynamo_metrics::encode;
use dynamo_metrics::exporter::Exporter;
use dynamo_metrics::health::Health;
use dynamo_metrics::label::{LabelSet, LabelValue, LabelValues};
use dynamo_metrics::llm::{ConnectionMetrics, GrpcMetrics, RejectMetrics};
use dynamo_metrics::metric::visit::{self, Visitor};
use dynamo_metrics::metric::{
    Buckets, BucketsError, Counter, FloatCounter, FloatGauge, Gauge, Histogram, Info, MetricKind,
    NativeBuckets, StateSet, UpDownCounter,
};
use dynamo_metrics::registry::catalogue::{Form, Listed, MetricInfo};
use dynamo_metrics::registry::{
    DynamicFamily, Family, Lazy, MetricSet, RegisterError, Registry, Scope,
};
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::golden::check;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

#[derive(Debug, Clone, Copy, LabelValue)]
enum Outcome {
    Success,
    Failure,
}

#[derive(Debug, LabelValue)]
enum Phase {
    Starting,
    Serving,
}

#[derive(LabelSet)]
struct Call {
    outcome: Outcome,
    status: http::StatusCode,
}

fn waits() -> Result<Buckets, BucketsError> {
    Buckets::log(0.001, 10.0, 4)
}

const SIZES: [f64; 2] = [1e3, 1e6];
const LIFE: Duration = Duration::from_secs(60);

/// What a worker does, with all that a set may have.
///
/// # Source
/// The worker's loop.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = "worker")]
struct Worker {
    /// Jobs that ended, by [`Outcome`].
    #[metric(name = "jobs_total", alias = "tasks_total", each(outcome: Outcome), exemplars)]
    jobs: [Counter; Outcome::LABELS.len()],
    /// Time that jobs took.
    #[metric(unit = seconds)]
    busy_seconds_total: FloatCounter,
    /// Calls, by what became of them.
    #[metric(name = "calls_total", labels(kind = "rpc"))]
    calls: Family<Call, Counter>,
    /// Tokens of each session.
    #[metric(labels(tenant, "session"), unit = tokens, time_to_live = LIFE, series_cap = 2)]
    session_tokens: DynamicFamily<Gauge, 2>,
    /// Share of the cache that is full.
    #[metric(unit = ratio)]
    cache_ratio: FloatGauge,
    /// Jobs that wait or run.
    #[metric(alias = "concurrent_jobs")]
    inflight_jobs: UpDownCounter,
    /// Time that a job waits.
    ///
    /// # Source
    /// From its arrival to its start.
    #[metric(unit = seconds, buckets = waits, native)]
    wait_seconds: Histogram,
    /// Bytes of a job.
    #[metric(unit = bytes, buckets = SIZES, native = NativeBuckets::new(0, 1.0, 8.0))]
    job_bytes: Lazy<Histogram>,
    /// Pages of a job.
    #[metric(buckets = [1, 2.5, 10])]
    pages: Histogram,
    #[metric(help = "What it is doing.", name = "phase")]
    state: StateSet<Phase>,
    /// What runs.
    #[metric(labels(version = "1.2.0"))]
    _build_info: Info,
    #[metric(flatten)]
    cache: Cache,
    #[metric(flatten)]
    disk: Arc<Disk>,
    #[metric(skip)]
    jobs_done: Vec<u64>,
}

/// A cache.
#[derive(Debug, MetricSet)]
#[metric_set(prefix = "cache")]
struct Cache {
    /// Entries.
    cache_entries: Gauge,
}

/// A disk, whoever has it.
#[derive(Debug, MetricSet)]
#[metric_set(fixed_prefix = "disk")]
struct Disk {
    /// Reads.
    reads_total: Lazy<Counter>,
}

/// A worker, shared.
#[derive(Debug, Clone, MetricSet)]
struct Shared(Arc<Worker>);

#[derive(MetricSet)]
struct Generic<L: LabelSet> {
    /// Steps.
    steps_total: Family<L, Counter>,
}

/// What a scrape sees of one family.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    help: String,
    unit: Option<String>,
    kind: Option<MetricKind>,
    labels: BTreeSet<String>,
    bounds: Option<Vec<f64>>,
    has_native: bool,
    series: usize,
}

#[derive(Default)]
struct Page(BTreeMap<String, Seen>, String);

impl Visitor for Page {
    fn family(&mut self, family: &visit::Family<'_>) {
        let seen = Seen {
            help: family.help.to_owned(),
            unit: family.unit.map(str::to_owned),
            kind: Some(family.kind),
            ..Seen::default()
        };
        assert!(self.0.insert(family.name.to_owned(), seen).is_none(), "each is shown once");
        family.name.clone_into(&mut self.1);
    }

    fn series(&mut self, series: &visit::Series<'_>) {
        let Some(seen) = self.0.get_mut(&self.1) else { return };
        seen.series += 1;
        seen.labels.extend(series.labels.iter().map(|(name, _)| name.to_owned()));
        if let visit::Value::Histogram(histogram) = series.value {
            seen.bounds = Some(histogram.bounds().to_vec());
            seen.has_native = histogram.native().is_some();
        }
    }
}

fn page(registry: &Registry) -> BTreeMap<String, Seen> {
    let mut page = Page::default();
    registry.gather(&mut page);
    page.0
}

/// What the catalogue says that a scrape sees of one family, but for the series.
fn told(name: &str, metric: &MetricInfo, scope: &[&str]) -> Seen {
    let buckets = metric.bounds().map(Result::unwrap);
    let mut labels: BTreeSet<String> = metric.label_names().map(str::to_owned).collect();
    labels.extend(scope.iter().map(|&label| label.to_owned()));
    labels.extend((!metric.states.is_empty()).then(|| name.to_owned()));
    Seen {
        help: metric.help.to_owned(),
        unit: metric.unit.map(|unit| unit.as_str().to_owned()),
        kind: Some(metric.kind),
        labels,
        bounds: buckets.as_ref().map(|buckets| buckets.bounds().to_vec()),
        has_native: buckets.is_some_and(|buckets| buckets.native().is_some()),
        series: 0,
    }
}

/// All that the catalogue of `registry` says, by exposed name.
fn catalogue(registry: &Registry, scope: &[&str]) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::new();
    for listed in registry.catalogue() {
        for (name, metric) in listed.metrics() {
            for name in metric.aliases.iter().map(|alias| listed.exposed(alias)).chain([name]) {
                let seen = told(&name, metric, scope);
                let before = all.insert(name.clone(), seen.clone());
                assert!(before.is_none_or(|before| before == seen), "{name} is two metrics");
            }
        }
    }
    all
}

/// The same as [`page`], without the number of series.
fn shapes(registry: &Registry) -> BTreeMap<String, Seen> {
    page(registry).into_iter().map(|(name, seen)| (name, Seen { series: 0, ..seen })).collect()
}

fn use_all(worker: &Worker) {
    worker.jobs[Outcome::Failure as usize].inc_by(3);
    worker.busy_seconds_total.inc_by(0.5);
    let (outcome, status) = (Outcome::Success, http::StatusCode::OK);
    worker.calls.with_ref(&Call { outcome, status }, Counter::inc);
    for session in ["a", "b", "c"] {
        worker.session_tokens.with_ref(["acme", session], |tokens| tokens.set(512));
    }
    worker.cache_ratio.set(0.25);
    worker.inflight_jobs.inc();
    worker.wait_seconds.observe(0.02);
    worker.job_bytes.observe(4e5);
    worker.pages.observe(2.0);
    worker.state.set(&Phase::Starting);
    worker.state.set(&Phase::Serving);
    worker.cache.cache_entries.set(7);
    worker.disk.reads_total.inc();
}

#[test]
fn a_set_with_everything_is_exposed_to_the_letter() {
    let registry = Registry::new();
    let worker = Worker::register(&registry.component("backend")).unwrap();
    let before = encode::text(&registry);
    // What is there at once is there at zero; what is not, is not.
    assert!(
        before.contains("worker_jobs_total{dynamo_component=\"backend\",outcome=\"success\"} 0")
    );
    for later in ["calls", "session_tokens", "job_bytes", "disk"] {
        assert!(!before.contains(later), "{later} in {before}");
    }
    use_all(&worker);
    assert!(worker.jobs_done.is_empty());
    check("set.txt", &encode::text(&registry));
}

#[test]
fn what_the_catalogue_says_is_what_is_exposed() {
    let registry = Registry::new();
    let worker = Worker::register(&registry.component("backend")).unwrap();
    use_all(&worker);
    let mut seen = shapes(&registry);
    // The registry's own word on the session that was too many.
    assert!(seen.remove("dynamo_metrics_series_overflow_total").is_some());
    assert_eq!(seen, catalogue(&registry, &["dynamo_component"]));
}

#[test]
fn an_entry_says_all_that_there_is_to_say() {
    let info = Shared::INFO;
    assert_eq!((info.name, info.prefix, info.prefix_is_fixed), ("Worker", Some("worker"), false));
    assert_eq!(info.help, "What a worker does, with all that a set may have.");
    assert_eq!((info.source, info.module), ("The worker's loop.", "metric_sets"));
    let names: Vec<&str> = info.all().iter().map(|set| set.name).collect();
    assert_eq!(names, ["Worker", "Cache", "Disk"]);
    let metric = |name| info.metrics.iter().find(|metric| metric.name == name).unwrap();
    let jobs = metric("jobs_total");
    assert_eq!((jobs.help, jobs.aliases), ("Jobs that ended, by Outcome.", &["tasks_total"][..]));
    assert_eq!((jobs.form, jobs.exemplars), (Form::Each, true));
    assert_eq!(jobs.labels[0].values, LabelValues::Closed(&["success", "failure"]));
    let calls = metric("calls_total");
    assert_eq!((calls.form, calls.constants), (Form::Family, &[("kind", "rpc")][..]));
    assert_eq!(calls.label_names().collect::<Vec<_>>(), ["kind", "outcome", "status"]);
    let sessions = metric("session_tokens");
    assert_eq!((sessions.form, sessions.unit), (Form::DynamicFamily, Some(Unit::Tokens)));
    assert_eq!((sessions.time_to_live, sessions.series_cap), (Some(LIFE), Some(2)));
    assert!(sessions.labels.iter().all(|label| label.values == LabelValues::Open));
    let waits = metric("wait_seconds");
    assert_eq!(
        (waits.source, waits.kind),
        ("From its arrival to its start.", MetricKind::Histogram)
    );
    assert_eq!(metric("job_bytes").form, Form::Lazy);
    assert_eq!(metric("pages").bounds().unwrap().unwrap().bounds(), [1.0, 2.5, 10.0]);
    assert_eq!(
        (metric("phase").states, metric("phase").help),
        (&["starting", "serving"][..], "What it is doing.",)
    );
}

#[test]
fn our_own_sets_are_what_they_say() {
    let registry = Registry::new();
    let endpoint = registry.endpoint("chat");
    GrpcMetrics::register(&endpoint).unwrap();
    RejectMetrics::register(&endpoint).unwrap();
    drop(ConnectionMetrics::register(&endpoint).unwrap().open());
    let health = Health::new(&registry).unwrap();
    let _chat = health.endpoint(&endpoint).unwrap();
    let names: BTreeSet<&str> =
        registry.catalogue().iter().map(|listed| listed.info().name).collect();
    assert_eq!(
        names,
        BTreeSet::from([
            "ConnectionMetrics",
            "EndpointHealthMetrics",
            "GrpcMetrics",
            "HealthMetrics",
            "RejectMetrics",
        ])
    );
    let said = catalogue(&registry, &["dynamo_endpoint"]);
    for (name, seen) in shapes(&registry) {
        let mut said = said[&name].clone();
        if name == "dynamo_metrics_health_ready" {
            said.labels.clear();
        }
        assert_eq!(seen, said, "{name}");
    }
    assert_eq!(said.len(), page(&registry).len());
    let sources = registry.catalogue();
    let sources = sources.iter().flat_map(|listed| {
        let of_set = listed.info().source;
        listed
            .info()
            .metrics
            .iter()
            .map(move |metric| (metric.name, of_set.to_owned() + metric.source))
    });
    let without: Vec<_> = sources.filter(|(_, source)| source.is_empty()).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[tokio::test]
async fn the_exporter_lists_what_it_tells_of_its_scrapes() {
    let registry = Registry::new();
    let exporter = Exporter::new(&registry);
    for _ in 0..2 {
        let request = http::Request::get("/metrics").body(String::new()).unwrap();
        let response = exporter.clone().oneshot(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    let said = catalogue(&registry, &[]);
    assert_eq!(shapes(&registry), said);
    assert!(said.contains_key("dynamo_metrics_exporter_scrape_duration_seconds"));
}

#[test]
fn a_set_that_is_registered_again_is_the_same() {
    let registry = Registry::new();
    let (one, other) = (Shared::register(&registry).unwrap(), Shared::register(&registry).unwrap());
    one.0.inflight_jobs.inc();
    other.0.jobs[0].inc();
    other.0.job_bytes.observe(1.0);
    one.0.job_bytes.observe(1.0);
    assert_eq!((other.0.inflight_jobs.get(), one.0.jobs[0].get()), (1, 1));
    assert_eq!(other.0.job_bytes.snapshot().count(), 2);
    let listed = registry.catalogue();
    assert_eq!(listed.iter().map(Listed::prefix).collect::<Vec<_>>(), ["worker", "worker", "disk"]);
}

#[test]
fn labels_at_registration_tell_two_sets_apart() {
    let registry = Registry::new();
    for (model, n) in [("llama", 2), ("qwen", 3)] {
        let worker = Worker::register_with(&registry, &[("model", model)]).unwrap();
        worker.inflight_jobs.inc();
        worker.cache.cache_entries.set(n);
    }
    let text = encode::text(&registry);
    for line in [
        "worker_inflight_jobs{model=\"llama\"} 1\n",
        "worker_cache_entries{model=\"qwen\"} 3\n",
        "worker_build_info{model=\"qwen\",version=\"1.2.0\"} 1\n",
        "worker_phase{model=\"llama\",worker_phase=\"starting\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let taken = Worker::register_with(&registry, &[("outcome", "x")]).unwrap_err();
    assert!(matches!(taken, RegisterError::Label(_)), "{taken}");
}

#[test]
fn a_scope_with_a_prefix_has_the_last_word_unless_it_is_fixed() {
    let registry = Registry::new();
    let names = |scope: &Scope| -> BTreeSet<String> {
        let worker = Worker::register(scope).unwrap();
        use_all(&worker);
        page(&registry).into_keys().collect()
    };
    let names = names(&registry.with_prefix("vllm").component("engine"));
    for name in ["vllm_inflight_jobs", "vllm_cache_entries", "vllm_concurrent_jobs"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(names.contains("disk_reads_total"));
    // By itself, a set within another has the prefix that it names.
    let alone = Registry::new();
    Disk::register(&alone.with_prefix("vllm")).unwrap().reads_total.inc();
    Cache::register(&alone).unwrap();
    let names: Vec<String> = page(&alone).into_keys().collect();
    assert_eq!(names, ["cache_entries", "disk_reads_total"]);
}

#[test]
fn what_cannot_be_registered_is_the_sets_error() {
    fn backwards() -> Result<Buckets, BucketsError> {
        Buckets::new([2.0, 1.0])
    }

    #[derive(Debug, MetricSet)]
    struct Backwards {
        /// Waits.
        #[metric(buckets = backwards)]
        waits: Lazy<Histogram>,
    }

    #[derive(Debug, MetricSet)]
    struct Narrow {
        /// Waits.
        #[metric(native = NativeBuckets::new(9, 1.0, 2.0))]
        narrow: Lazy<Histogram>,
    }

    let registry = Registry::new();
    let order = BucketsError::Order { before: 2.0, after: 1.0 };
    assert_eq!(Backwards::register(&registry).map(|set| set.waits).unwrap_err(), order.into());
    let schema = BucketsError::Schema(9);
    assert_eq!(Narrow::register(&registry).map(|set| set.narrow).unwrap_err(), schema.into());
    registry.gauge("worker_inflight_jobs", "").register().unwrap();
    let conflict = Worker::register(&registry).unwrap_err();
    assert!(matches!(conflict, RegisterError::Conflict { .. }), "{conflict}");
    let gone = registry.component("gone");
    gone.remove();
    assert_eq!(Worker::register(&gone).unwrap_err(), RegisterError::ScopeRemoved);
}

#[test]
fn a_set_may_leave_its_labels_to_whoever_names_it() {
    let registry = Registry::new();
    let steps = Generic::<Call>::register(&registry).unwrap().steps_total;
    let (outcome, status) = (Outcome::Failure, http::StatusCode::from_u16(777).unwrap());
    steps.with_ref(&Call { outcome, status }, Counter::inc);
    assert!(encode::text(&registry).contains("{outcome=\"failure\",status=\"_OTHER\"} 1\n"));
    assert_eq!(Generic::<Call>::INFO.metrics[0].labels.len(), 2);
}

#[test]
fn recording_through_a_set_allocates_nothing() {
    let worker = Shared::register(&Registry::new()).unwrap().0;
    use_all(&worker);
    // The third session is too many, and its label values are made anew at no time.
    let measured = measure(|| (0..10).for_each(|_| use_all(&worker)));
    assert_eq!(measured.count_total, 0);
}

#[test]
fn series_of_a_set_go_after_their_time() {
    let time = Manual::new();
    time.run(|| {
        let registry = Registry::new();
        let worker = Worker::register(&registry).unwrap();
        worker.session_tokens.with_ref(["acme", "a"], |tokens| tokens.set(1));
        assert_eq!(page(&registry)["worker_session_tokens"].series, 1);
        time.advance(LIFE);
        assert!(!page(&registry).contains_key("worker_session_tokens"));
    });
}
