//! Other processes' metrics at our page: real engines, fetched, labelled and merged.

mod scraped;

use dynamo_metrics::exporter::{Backend, Exporter};
use dynamo_metrics::foreign::{Format, Value};
use dynamo_metrics::metric::MetricKind;
use dynamo_metrics::registry::{RegisterError, Registry};
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{Engine, OPENMETRICS, PROTOBUF, Peer, TEXT};
use dynamo_metrics_tests::program::{get, wait_for};
use dynamo_metrics_tests::prometheus::Prometheus;

use crate::scraped::{
    FORMATS, endpoint, page, promtool_reads, python_reads, read_back, scrape, serve,
};

/// The labels of `prod.backend.generate`.
const PLACE: [(&str, &str); 3] = [
    ("dynamo_namespace", "prod"),
    ("dynamo_component", "backend"),
    ("dynamo_endpoint", "generate"),
];

fn backend(url: &str) -> Backend {
    Backend::new(url).unwrap()
}

/// The one series of `name`, without its place.
fn only(page: &Page, name: &str, more: &[(&str, &str)]) -> f64 {
    let labels = [&PLACE[..], more].concat();
    page.sum(name, &labels).unwrap_or_else(|| panic!("no {name} {labels:?} in {page:?}"))
}

#[tokio::test]
async fn an_engines_series_carry_the_labels_of_its_scope() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let _handle = backend(&engine.url()).register(&endpoint(&registry)).unwrap();
    let page = page(&Exporter::new(&registry)).await;
    let llama = [("model_name", "llama")];
    assert_eq!(only(&page, "vllm:num_requests_running", &llama), 3.0);
    assert_eq!(only(&page, "vllm:prompt_tokens_total", &llama), 1234.0);
    assert_eq!(only(&page, "vllm:time_to_first_token_seconds_count", &llama), 5.0);
    let small = [("model_name", "llama"), ("le", "0.5")];
    assert_eq!(only(&page, "vllm:time_to_first_token_seconds_bucket", &small), 2.0);
    assert_eq!(only(&page, "prompt_bytes_sum", &[]), 7.0);
    assert_eq!(only(&page, "engine_info", &[("version", "1.2")]), 1.0);
    assert_eq!(only(&page, "engine_state", &[("engine_state", "ready")]), 1.0);
    assert_eq!(only(&page, "engine_state", &[("engine_state", "loading")]), 0.0);
    let odd = [("kind", "a \"quoted\" \\ back\nslash, é}")];
    assert_eq!(only(&page, "vllm:cache_usage_perc", &odd), 0.5);
}

#[tokio::test]
async fn an_engines_families_are_in_all_formats_what_they_were() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let _handle = backend(&engine.url()).register(&endpoint(&registry)).unwrap();
    let exporter = Exporter::new(&registry);
    for format in FORMATS {
        let parsed = read_back(&exporter, format).await;
        let family = |name: &str| {
            let found = parsed.families.iter().find(|family| family.name == name);
            found.unwrap_or_else(|| panic!("{format:?}: no {name} in {parsed:?}"))
        };
        assert_eq!(family("vllm:num_requests_running").kind, MetricKind::Gauge);
        assert_eq!(family("vllm:prompt_tokens_total").kind, MetricKind::Counter);
        assert_eq!(family("prompt_bytes").kind, MetricKind::Summary);
        assert_eq!(family("vllm:cache_usage_perc").help, "a \"quoted\" \\ back\nslash, é}");
        let first = family("vllm:time_to_first_token_seconds");
        assert_eq!(first.kind, MetricKind::Histogram);
        let Value::Histogram(first) = &first.series[0].value else { panic!("{first:?}") };
        let buckets =
            [(0.001, 1.0), (0.5, 2.0), (1.0, 3.0), (1e5, 4.0), (1e6, 4.0), (f64::INFINITY, 5.0)];
        assert_eq!((&first.buckets[..], first.sum), (&buckets[..], Some(2_000_004.200_1)));
        let (info, states) = match format {
            Format::OpenMetrics => (MetricKind::Info, MetricKind::StateSet),
            _ => (MetricKind::Gauge, MetricKind::Gauge),
        };
        assert_eq!(family("engine_info").kind, info);
        assert_eq!((family("engine_state").kind, family("engine_state").series.len()), (states, 2));
    }
}

#[tokio::test]
async fn promtool_and_python_read_the_merged_page() {
    let (one, other, registry) = (Engine::start(), Engine::start(), Registry::new());
    let scope = endpoint(&registry);
    scope.counter("requests_total", "Ours.").register().unwrap().inc();
    let _one = backend(&one.url()).register(&scope).unwrap();
    let decode = registry.namespace("prod").component("decode");
    let _other = backend(&other.url()).honor_labels().register(&decode).unwrap();
    let exporter = Exporter::new(&registry);
    let text = scrape(&exporter).await;
    let request = http::Request::get("/metrics").header("accept", OPENMETRICS);
    let openmetrics = scraped::ask(&exporter, request.body(String::new()).unwrap()).await;
    promtool_reads(text.text());
    python_reads("merged", text.text(), openmetrics.text());
}

#[tokio::test]
async fn two_engines_share_one_help_and_one_type() {
    let (one, other, registry) = (Engine::start(), Engine::start(), Registry::new());
    let _one = backend(&one.url()).register(&registry.component("prefill")).unwrap();
    let _other = backend(&other.url()).register(&registry.component("decode")).unwrap();
    let answer = scrape(&Exporter::new(&registry)).await;
    for kind in ["HELP", "TYPE"] {
        let mark = format!("# {kind} vllm:num_requests_running ");
        assert_eq!(answer.text().matches(&mark).count(), 1, "{}", answer.text());
    }
    let page = answer.page();
    for component in ["prefill", "decode"] {
        let labels = [("dynamo_component", component), ("model_name", "llama")];
        assert_eq!(page.sum("vllm:num_requests_running", &labels), Some(3.0));
    }
}

#[tokio::test]
async fn a_label_that_the_scope_has_too_is_exported() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let _handle = backend(&engine.url()).register(&endpoint(&registry)).unwrap();
    let page = page(&Exporter::new(&registry)).await;
    assert_eq!(only(&page, "steps_total", &[("exported_dynamo_component", "inner")]), 5.0);
}

#[tokio::test]
async fn honoured_labels_stay_and_the_scopes_give_way() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let _handle = backend(&engine.url()).honor_labels().register(&endpoint(&registry)).unwrap();
    let page = page(&Exporter::new(&registry)).await;
    let steps: Vec<_> = page.samples().iter().filter(|it| it.name == "steps_total").collect();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].labels["dynamo_component"], "inner");
    assert_eq!(steps[0].labels["dynamo_namespace"], "prod");
    assert!(!steps[0].labels.contains_key("exported_dynamo_component"));
}

#[tokio::test]
async fn only_and_without_choose_by_the_name_before_the_prefix() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let chosen = backend(&engine.url()).only(["vllm:", "steps"]).without(["vllm:cache"]);
    let _handle = chosen.prefix("py").register(&endpoint(&registry)).unwrap();
    let parsed = read_back(&Exporter::new(&registry), Format::Text).await;
    let names: Vec<_> = parsed.families.iter().map(|family| family.name.as_str()).collect();
    let foreign: Vec<_> = names.iter().filter(|it| !it.starts_with("dynamo_metrics_")).collect();
    let wanted = [
        "py_steps_total",
        "py_vllm:num_requests_running",
        "py_vllm:prompt_tokens_total",
        "py_vllm:time_to_first_token_seconds",
    ];
    assert_eq!(foreign, wanted.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_backend_is_up_then_down_then_up_again() {
    let (engine, registry) = (Engine::start(), Registry::new());
    let url = engine.url();
    let engines = backend(&url);
    let address = engines.address();
    let _handle = engines.register(&endpoint(&registry)).unwrap();
    let exporter = Exporter::new(&registry);
    let told = async || {
        let page = page(&exporter).await;
        let labels = [("backend", address.as_str())];
        let errors = page.samples().iter().filter(|it| it.name == "dynamo_metrics_backend_error");
        let on: Vec<_> = errors.filter(|it| it.value == 1.0).cloned().collect();
        assert_eq!(on.len(), 1, "{on:?}");
        let samples = page.sum("dynamo_metrics_backend_scrape_samples", &labels);
        let duration = page.sum("dynamo_metrics_backend_scrape_duration_seconds", &labels).unwrap();
        assert!(duration >= 0.0);
        let shown = page.sum("vllm:num_requests_running", &[]).is_some();
        let error = on[0].labels["dynamo_metrics_backend_error"].clone();
        (page.sum("dynamo_metrics_backend_up", &labels), samples, shown, error)
    };
    let well = told().await;
    // Two of cache usage, two states, and six alone.
    assert_eq!(well, (Some(1.0), Some(10.0), true, "none".to_owned()));
    let port = engine.kill();
    assert_eq!(told().await, (Some(0.0), Some(0.0), false, "connect".to_owned()));
    let _engine = Engine::start_at(port);
    assert_eq!(told().await, well);
}

#[test]
fn prometheus_scrapes_the_merged_page() {
    let (one, other, registry) = (Engine::start(), Engine::start(), Registry::new());
    let scope = endpoint(&registry);
    let _one = backend(&one.url()).register(&scope).unwrap();
    let _other = backend(&other.url()).register(&registry.component("decode")).unwrap();
    scope.counter("requests_total", "Ours.").register().unwrap().inc_by(4);
    let address = serve(&Exporter::new(&registry));
    let prometheus = Prometheus::start("merged", address, &[]);
    let ask = |query: &str| wait_for(query, || prometheus.query(query));
    assert_eq!(ask("sum(vllm:num_requests_running)"), 6.0);
    assert_eq!(ask("dynamo_component_requests_total"), 4.0);
    let place = "dynamo_namespace=\"prod\",dynamo_endpoint=\"generate\"";
    assert_eq!(ask(&format!("vllm:prompt_tokens_total{{{place}}}")), 1234.0);
    let median = "histogram_quantile(0.5, sum by (le) (vllm:time_to_first_token_seconds_bucket))";
    assert!((0.5..=1.0).contains(&ask(median)));
    assert_eq!(ask("sum(dynamo_metrics_backend_up)"), 2.0);
    assert_eq!(prometheus.last_error(), "");
    // It asks for OpenMetrics; the text format says the same.
    let text = get(address, "/metrics", "text/plain");
    assert_eq!(Page::read(&text).sum("vllm:num_requests_running", &[]), Some(6.0));
    assert!(prometheus.terminate());
}

#[tokio::test]
async fn a_page_may_come_in_each_format() {
    let registry = Registry::new();
    let other = Registry::new();
    other.counter("steps_total", "Steps.").register().unwrap().inc_by(7);
    let text = dynamo_metrics::encode::text(&other);
    let peers = [
        Peer::page(TEXT, &text).await,
        Peer::page("text/plain", &text).await,
        Peer::page(OPENMETRICS, dynamo_metrics::encode::openmetrics(&other)).await,
        Peer::page(PROTOBUF, dynamo_metrics::encode::protobuf(&other)).await,
    ];
    for (i, peer) in peers.iter().enumerate() {
        let scope = registry.component(&format!("number_{i}"));
        let _ = backend(&peer.url()).register(&scope).unwrap();
    }
    assert_eq!(page(&Exporter::new(&registry)).await.sum("steps_total", &[]), Some(28.0));
}

#[tokio::test]
async fn a_backend_is_asked_at_its_path_for_a_page_of_metrics() {
    let registry = Registry::new();
    let peer = Peer::page(TEXT, "a 1\n").await;
    let address = format!("http://{}", peer.address);
    let bare = backend(&address).register(&registry).unwrap();
    page(&Exporter::new(&registry)).await;
    bare.remove();
    let query = format!("http://{}/some/where?x=1&y=2", peer.address);
    let _handle = backend(&query).register(&registry).unwrap();
    page(&Exporter::new(&registry)).await;
    let heads: Vec<_> = peer.heads().iter().map(|head| head.to_ascii_lowercase()).collect();
    assert_eq!(heads.len(), 2);
    assert!(heads[0].starts_with("get /metrics http/1.1\r\n"), "{heads:?}");
    assert!(heads[1].starts_with("get /some/where?x=1&y=2 http/1.1\r\n"), "{heads:?}");
    for head in heads {
        assert!(head.contains(&format!("\r\nhost: {}\r\n", peer.address)), "{head}");
        let accept = head.lines().find(|line| line.starts_with("accept:")).unwrap();
        assert!(accept.contains("openmetrics") && accept.contains("text/plain"), "{accept}");
    }
}

#[tokio::test]
async fn a_removed_backend_leaves_nothing_behind() {
    let registry = Registry::new();
    let peer = Peer::page(TEXT, "steps 1\n").await;
    let handle = backend(&peer.url()).register(&endpoint(&registry)).unwrap();
    let exporter = Exporter::new(&registry);
    let before = scrape(&exporter).await;
    assert!(before.text().contains("steps{") && before.text().contains("backend_up"));
    handle.remove();
    let after = scrape(&exporter).await;
    assert!(!after.text().contains("steps{"), "{}", after.text());
    assert!(!after.text().contains("dynamo_metrics_backend_"), "{}", after.text());
    assert_eq!(peer.heads().len(), 1);
}

#[tokio::test]
async fn a_removed_scope_takes_its_backends_along() {
    let registry = Registry::new();
    let peer = Peer::page(TEXT, "steps 1\n").await;
    let prod = registry.namespace("prod");
    let _handle = backend(&peer.url()).register(&prod.component("backend")).unwrap();
    let exporter = Exporter::new(&registry);
    assert!(scrape(&exporter).await.text().contains("steps{"));
    prod.remove();
    let after = scrape(&exporter).await;
    assert!(!after.text().contains("steps{"), "{}", after.text());
    assert!(!after.text().contains("dynamo_metrics_backend_"), "{}", after.text());
    assert_eq!(peer.heads().len(), 1);
    let again = backend(&peer.url()).register(&prod);
    assert_eq!(again.unwrap_err(), RegisterError::ScopeRemoved);
}
