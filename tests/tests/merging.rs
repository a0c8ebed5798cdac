//! What others tell meets what we have: families are merged, and what disagrees is left out.

mod scraped;

use dynamo_metrics::exporter::{Backend, Exporter};
use dynamo_metrics::foreign::{Family, Format, Value};
use dynamo_metrics::metric::MetricKind;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::peer::{OPENMETRICS, Peer, TEXT};

use crate::scraped::{FORMATS, promtool_reads, read_back, scrape};

/// A registry with metrics of each kind, at its root.
fn ours() -> Registry {
    let registry = Registry::new();
    registry.counter("calls_total", "Ours.").register().unwrap().inc_by(7);
    registry.gauge("level", "Ours.").register().unwrap().set(5);
    let waits = registry.histogram("wait_seconds", "Ours.").buckets([0.5, 1.0]);
    waits.register().unwrap().observe(0.7);
    registry
}

/// Whether all of ours is there, as it was.
fn has_ours(page: &Page) -> bool {
    let at_root = |name: &str, value: f64| {
        let found = page.samples().iter().filter(|it| it.name == name);
        let labels = ["le", "quantile"];
        let mut found = found.filter(|it| it.labels.keys().all(|key| labels.contains(&&**key)));
        found.next().is_some_and(|it| it.value == value) && found.next().is_none()
    };
    at_root("calls_total", 7.0)
        && at_root("level", 5.0)
        && at_root("wait_seconds_count", 1.0)
        && at_root("wait_seconds_sum", 0.7)
        && page.sum("wait_seconds_bucket", &[("le", "1")]) >= Some(1.0)
}

/// The page in the text format, if it is valid in all formats and has all that is ours.
async fn merged(exporter: &Exporter) -> (String, Page) {
    // The first scrape, so that what it counts is one page's.
    let answer = scrape(exporter).await;
    promtool_reads(answer.text());
    assert!(has_ours(&answer.page()), "{}", answer.text());
    for format in FORMATS {
        let parsed = read_back(exporter, format).await;
        for name in ["calls_total", "level", "wait_seconds"] {
            let family: Vec<&Family> =
                parsed.families.iter().filter(|it| it.name == name).collect();
            assert_eq!(family.len(), 1, "{format:?}: {name} in {parsed:?}");
            let series = family[0].series.iter().filter(|series| series.labels.is_empty());
            assert_eq!(series.count(), 1, "{format:?}: {name} in {parsed:?}");
        }
    }
    (answer.text().to_owned(), answer.page())
}

/// The page with these of others beside ours, each the page of a component of its own.
async fn beside_ours(pages: &[(&str, &str)]) -> (String, Page) {
    let registry = ours();
    let mut peers = Vec::new();
    for (i, (content_type, page)) in pages.iter().enumerate() {
        let peer = Peer::page(content_type, page).await;
        let scope = registry.component(&format!("other_{i}"));
        let _ = Backend::new(&peer.url()).unwrap().register(&scope).unwrap();
        peers.push(peer);
    }
    merged(&Exporter::new(&registry)).await
}

/// How many things are wrong with all backends, by the reason.
fn errors(page: &Page) -> Vec<(String, f64)> {
    let told = page.samples().iter().filter(|it| it.name == "dynamo_metrics_collect_errors_total");
    told.map(|it| {
        assert_eq!(it.labels["source"], "backend");
        (it.labels["reason"].clone(), it.value)
    })
    .collect()
}

/// The value of a series of the only other one.
fn theirs(page: &Page, name: &str) -> Option<f64> {
    page.sum(name, &[("dynamo_component", "other_0")])
}

#[tokio::test]
async fn what_is_wrong_with_a_page_costs_its_own_series_only() {
    let wrong = [
        ("neg_total", "# TYPE neg_total counter\nneg_total -1\n", TEXT),
        ("nan_total", "# TYPE nan_total counter\nnan_total NaN\n", TEXT),
        ("word", "word one\n", TEXT),
        ("esc", "esc{a=\"\\t\"} 1\n", TEXT),
        ("open", "open{a=\"b\n", TEXT),
        ("dots.in.it", "dots.in.it 1\n", TEXT),
        ("quoted", "{\"quoted\"} 1\n", TEXT),
        ("bad_label", "bad_label{1a=\"x\"} 1\n", TEXT),
        ("twice_label", "twice_label{a=\"x\",a=\"y\"} 1\n", TEXT),
        ("reserved", "reserved{__name__=\"x\"} 1\n", TEXT),
        ("kindless", "# TYPE kindless sort\nkindless 1\n", TEXT),
        (
            "falls",
            "# TYPE falls histogram\nfalls_bucket{le=\"1\"} 3\nfalls_bucket{le=\"+Inf\"} 2\nfalls_sum 1\nfalls_count 2\n",
            TEXT,
        ),
        (
            "no_inf",
            "# TYPE no_inf histogram\nno_inf_bucket{le=\"1\"} 3\nno_inf_bucket{le=\"x\"} 3\n",
            TEXT,
        ),
        (
            "differs",
            "# TYPE differs histogram\ndiffers_bucket{le=\"+Inf\"} 2\ndiffers_sum 1\ndiffers_count 3\n",
            TEXT,
        ),
        ("past_one", "# TYPE past_one summary\npast_one{quantile=\"1.5\"} 3\n", TEXT),
        (
            "unitless",
            "# TYPE unitless gauge\n# UNIT unitless seconds\nunitless 1\n# EOF\n",
            OPENMETRICS,
        ),
        ("info_two", "# TYPE info_two info\ninfo_two_info 2\n# EOF\n", OPENMETRICS),
        ("state", "# TYPE state stateset\nstate{state=\"a\"} 0.5\n# EOF\n", OPENMETRICS),
    ];
    for (name, page, content_type) in wrong {
        let good = "# TYPE right gauge\nright 1\n";
        let page =
            if content_type == TEXT { format!("{page}{good}") } else { format!("{good}{page}") };
        let (text, page) = beside_ours(&[(content_type, &page)]).await;
        assert_eq!(theirs(&page, "right"), Some(1.0), "{name}: {text}");
        let counted: f64 = errors(&page).iter().map(|(_, count)| count).sum();
        assert!(counted >= 1.0, "{name}: {text}");
        let up = page.sum("dynamo_metrics_backend_up", &[]);
        assert_eq!(up, Some(1.0), "{name}");
        let kept = match name {
            // Without its kind, its unit or its claim to be one, it is a number like others.
            "kindless" | "unitless" => {
                page.samples().iter().all(|it| it.name != name || it.value == 1.0)
            }
            _ => page.samples().iter().all(|it| !it.name.starts_with(name)),
        };
        assert!(kept, "{name}: {text}");
    }
}

#[tokio::test]
async fn of_a_series_that_is_there_twice_the_first_one_stands() {
    let (text, page) =
        beside_ours(&[(TEXT, "a{b=\"c\"} 1\na{b=\"c\"} 2\na{b=\"c\",d=\"\"} 3\na 4\n")]).await;
    assert_eq!(page.sum("a", &[("b", "c")]), Some(1.0), "{text}");
    assert_eq!(theirs(&page, "a"), Some(5.0));
    assert_eq!(errors(&page), [("duplicate".to_owned(), 2.0)]);
}

#[tokio::test]
async fn series_of_others_join_our_family() {
    let page = "# HELP calls_total Theirs.\n# TYPE calls_total counter\ncalls_total 3\n\
                # TYPE level gauge\nlevel 4\n# TYPE wait_seconds histogram\n\
                wait_seconds_bucket{le=\"2\"} 1\nwait_seconds_bucket{le=\"+Inf\"} 2\n\
                wait_seconds_sum 5\nwait_seconds_count 2\n";
    let (text, page) = beside_ours(&[(TEXT, page)]).await;
    assert_eq!(text.matches("# TYPE calls_total").count(), 1, "{text}");
    assert!(text.contains("# HELP calls_total Ours.\n"), "{text}");
    assert_eq!(theirs(&page, "calls_total"), Some(3.0));
    assert_eq!(theirs(&page, "level"), Some(4.0));
    assert_eq!(theirs(&page, "wait_seconds_count"), Some(2.0));
    assert_eq!(errors(&page), []);
}

#[tokio::test]
async fn a_series_that_is_ours_is_not_taken_from_others() {
    let registry = ours();
    let peer =
        Peer::page(TEXT, "# TYPE calls_total counter\ncalls_total 3\ncalls_total{a=\"b\"} 4\n")
            .await;
    let _ = Backend::new(&peer.url()).unwrap().register(&registry).unwrap();
    let (text, page) = merged(&Exporter::new(&registry)).await;
    assert_eq!(page.sum("calls_total", &[]), Some(11.0), "{text}");
    assert_eq!(errors(&page), [("duplicate".to_owned(), 1.0)]);
}

#[tokio::test]
async fn of_two_backends_with_one_series_one_stands() {
    let registry = ours();
    let peers = [Peer::page(TEXT, "a 1\nb 1\n").await, Peer::page(TEXT, "a 2\nc 2\n").await];
    for peer in &peers {
        let _ = Backend::new(&peer.url()).unwrap().register(&registry).unwrap();
    }
    let (text, page) = merged(&Exporter::new(&registry)).await;
    let a = page.samples().iter().filter(|it| it.name == "a");
    assert_eq!(a.count(), 1, "{text}");
    assert_eq!((page.sum("b", &[]), page.sum("c", &[])), (Some(1.0), Some(2.0)));
    assert_eq!(errors(&page), [("duplicate".to_owned(), 1.0)]);
}

#[tokio::test]
async fn a_family_of_another_kind_than_ours_is_left_out() {
    for (name, page) in [
        ("calls_total", "# TYPE calls_total gauge\ncalls_total 3\n"),
        ("calls_total", "calls_total 3\n"),
        ("level", "# TYPE level counter\nlevel 3\n"),
        ("level", "# TYPE level summary\nlevel_sum 3\nlevel_count 1\n"),
        ("wait_seconds", "# TYPE wait_seconds gauge\nwait_seconds 3\n"),
        ("wait_seconds", "# TYPE wait_seconds summary\nwait_seconds_sum 3\nwait_seconds_count 1\n"),
    ] {
        let (text, page) = beside_ours(&[(TEXT, &format!("{page}right 1\n"))]).await;
        let of_them = page.samples().iter().filter(|it| it.labels.contains_key("dynamo_component"));
        let of_them: Vec<_> = of_them.filter(|it| it.name.starts_with(name)).collect();
        assert!(of_them.is_empty(), "{text}");
        assert_eq!(theirs(&page, "right"), Some(1.0));
        assert_eq!(errors(&page).iter().map(|it| it.1).sum::<f64>(), 1.0, "{:?}", errors(&page));
    }
}

#[tokio::test]
async fn of_two_kinds_of_two_backends_one_stands() {
    let pages = [
        (TEXT, "# TYPE a gauge\na 1\nb 1\n"),
        (TEXT, "# TYPE a counter\na 2\nc 2\n"),
        (TEXT, "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 2\nd 2\n"),
    ];
    let (text, page) = beside_ours(&pages).await;
    let names: Vec<_> = page.samples().iter().map(|it| &*it.name).collect();
    let a = names.iter().filter(|name| matches!(**name, "a" | "a_count"));
    assert_eq!(a.count(), 1, "{text}");
    assert!(names.contains(&"b") && names.contains(&"c") && names.contains(&"d"), "{text}");
    assert_eq!(errors(&page).iter().map(|it| it.1).sum::<f64>(), 2.0);
}

#[tokio::test]
async fn a_name_that_ours_can_produce_is_left_out() {
    for clash in [
        "# TYPE wait_seconds_count gauge\nwait_seconds_count 3\n",
        "wait_seconds_sum 3\n",
        "# TYPE wait_seconds_bucket counter\nwait_seconds_bucket 3\n",
        "# TYPE wait_seconds_created gauge\nwait_seconds_created 3\n",
        "# TYPE calls_created gauge\ncalls_created 3\n",
        "# TYPE calls gauge\ncalls 3\n",
        "# TYPE calls histogram\ncalls_bucket{le=\"+Inf\"} 1\ncalls_sum 1\ncalls_count 1\n",
        "# TYPE calls summary\ncalls_sum 1\ncalls_count 1\n",
        "# TYPE level_total counter\nlevel_total 3\n",
    ] {
        let (text, page) = beside_ours(&[(TEXT, &format!("{clash}right 1\n"))]).await;
        let of_them = page.samples().iter().filter(|it| it.labels.contains_key("dynamo_component"));
        let names: Vec<_> =
            of_them.filter(|it| !it.name.starts_with("dynamo_")).map(|it| &*it.name).collect();
        assert_eq!(names, ["right"], "{clash}: {text}");
        assert_eq!(errors(&page).iter().map(|it| it.1).sum::<f64>(), 1.0, "{clash}");
    }
}

#[tokio::test]
async fn names_of_two_backends_that_clash_are_not_both_there() {
    for [one, other] in [
        [
            "# TYPE x histogram\nx_bucket{le=\"+Inf\"} 1\nx_sum 1\nx_count 1\n",
            "# TYPE x_count gauge\nx_count 3\n",
        ],
        ["# TYPE x gauge\nx 1\n", "# TYPE x_total counter\nx_total 3\n"],
        ["# TYPE x summary\nx_sum 1\nx_count 1\n", "x_sum 3\n"],
        ["# TYPE x_total counter\nx_total 1\n", "# TYPE x_created gauge\nx_created 3\n"],
        ["# TYPE x_info gauge\nx_info 1\n", "# TYPE x gauge\nx 1\n"],
    ] {
        for pages in [[(TEXT, one), (TEXT, other)], [(TEXT, other), (TEXT, one)]] {
            let (text, page) = beside_ours(&pages).await;
            let mut components: Vec<_> = page
                .samples()
                .iter()
                .filter(|it| it.name.starts_with('x'))
                .map(|it| it.labels["dynamo_component"].clone())
                .collect();
            components.dedup();
            // An info metric is a gauge in this format, and nothing can be mixed up.
            let most = if one.contains("x_info") { 2 } else { 1 };
            assert!((1..=most).contains(&components.len()), "{components:?} {text}");
        }
    }
}

#[tokio::test]
async fn the_kinds_that_we_do_not_have_ourselves_pass_through() {
    let page = "# TYPE build info\nbuild_info{v=\"1\"} 1\n# TYPE mode stateset\n\
                mode{mode=\"a\"} 1\nmode{mode=\"b\"} 0\n# TYPE who unknown\nwho 3\n\
                # TYPE pending gaugehistogram\npending_bucket{le=\"1.0\"} 1\n\
                pending_bucket{le=\"+Inf\"} 2\npending_gcount 2\npending_gsum 4\n\
                # TYPE size_bytes summary\n# UNIT size_bytes bytes\nsize_bytes{quantile=\"0.5\"} 2\n\
                size_bytes_count 2\nsize_bytes_sum 4\n# EOF\n";
    let registry = ours();
    let peer = Peer::page(OPENMETRICS, page).await;
    let _ = Backend::new(&peer.url()).unwrap().register(&registry.component("other_0")).unwrap();
    let exporter = Exporter::new(&registry);
    let _ = merged(&exporter).await;
    let parsed = read_back(&exporter, Format::OpenMetrics).await;
    let kind = |name: &str| parsed.families.iter().find(|it| it.name == name).map(|it| it.kind);
    assert_eq!(kind("build_info"), Some(MetricKind::Info));
    assert_eq!(kind("mode"), Some(MetricKind::StateSet));
    assert_eq!(kind("who"), Some(MetricKind::Unknown));
    assert_eq!(kind("pending"), Some(MetricKind::GaugeHistogram));
    assert_eq!(kind("size_bytes"), Some(MetricKind::Summary));
    let size = parsed.families.iter().find(|it| it.name == "size_bytes").unwrap();
    assert_eq!(size.unit.as_deref(), Some("bytes"));
    let Value::Summary(size) = &size.series[0].value else { panic!("{size:?}") };
    assert_eq!((&size.quantiles[..], size.sum), (&[(0.5, 2.0)][..], Some(4.0)));
}

#[tokio::test]
async fn a_unit_that_only_some_tell_makes_no_second_family() {
    let one = "# TYPE t_seconds gauge\n# UNIT t_seconds seconds\n# HELP t_seconds One.\nt_seconds 1\n# EOF\n";
    let other = "# TYPE t_seconds gauge\n# HELP t_seconds Other.\nt_seconds 2\n# EOF\n";
    for pages in
        [[(OPENMETRICS, one), (OPENMETRICS, other)], [(OPENMETRICS, other), (OPENMETRICS, one)]]
    {
        let (text, page) = beside_ours(&pages).await;
        assert_eq!(text.matches("# HELP t_seconds ").count(), 1, "{text}");
        assert_eq!(page.sum("t_seconds", &[]), Some(3.0), "{text}");
    }
}

#[tokio::test]
async fn what_others_tell_of_our_own_metrics_names_is_merged_or_left_out() {
    let other = Registry::new();
    other.counter("calls_total", "Theirs.").register().unwrap().inc_by(2);
    let inner = Exporter::new(&other);
    let _ = scrape(&inner).await;
    // Another exporter of ours, as it is, with all that it tells of itself.
    let page = scrape(&inner).await.text().to_owned();
    let (text, page) = beside_ours(&[(TEXT, &page)]).await;
    assert_eq!(theirs(&page, "calls_total"), Some(2.0), "{text}");
    assert_eq!(theirs(&page, "dynamo_metrics_exporter_scrapes_total"), Some(1.0), "{text}");
    assert_eq!(errors(&page), []);
}

#[tokio::test]
async fn a_summary_that_has_a_count_alone_is_in_each_format() {
    let registry = ours();
    let peer = Peer::page(TEXT, "# TYPE a summary\na_count 5\n").await;
    let _ = Backend::new(&peer.url()).unwrap().register(&registry).unwrap();
    let exporter = Exporter::new(&registry);
    for format in FORMATS {
        let parsed = read_back(&exporter, format).await;
        let family = parsed.families.iter().find(|family| family.name == "a");
        let Some(Value::Summary(it)) = family.map(|family| &family.series[0].value) else {
            panic!("{format:?}: {family:?}")
        };
        assert_eq!(it.count, Some(5.0));
    }
}

#[tokio::test]
async fn a_gauge_histogram_takes_no_gauge_of_ours_for_its_creation() {
    let registry = ours();
    registry.gauge("a_created", "Ours.").register().unwrap().set(1);
    let page = "# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 2\na_gcount 2\na_gsum 3\n# EOF\n";
    let peer = Peer::page(OPENMETRICS, page).await;
    let _ = Backend::new(&peer.url()).unwrap().register(&registry).unwrap();
    let exporter = Exporter::new(&registry);
    for format in FORMATS {
        let parsed = read_back(&exporter, format).await;
        assert!(parsed.families.iter().any(|family| family.name == "a_created"), "{format:?}");
    }
}
