//! That nothing is shown that the catalogue does not have: the quickstart's page, in some of its
//! protocols, with real clients.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_metrics::registry::catalogue::Form;
use dynamo_metrics_tests::page::Page;
use dynamo_metrics_tests::program::{Quickstart, wait_for};

use super::listing::{Metric, by_name};

/// What a scope adds.
const OF_SCOPES: [&str; 4] =
    ["dynamo_namespace", "dynamo_component", "dynamo_endpoint", "worker_id"];

/// What is wrong with a page, by the catalogue.
fn faults(text: &str, catalogue: &BTreeMap<String, Metric>) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut kinds = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        kinds.insert(name, kind);
        let Some(metric) = catalogue.get(name) else {
            faults.insert(format!("{name} is not in the catalogue"));
            continue;
        };
        // The text format knows neither facts nor states.
        let said = match metric.info.kind.as_str() {
            "info" | "stateset" => "gauge",
            kind => kind,
        };
        if said != kind {
            faults.insert(format!("{name} is a {kind}, and no {said}"));
        }
    }
    for sample in Page::read(text).samples() {
        let of_histogram = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| {
            let name = sample.name.strip_suffix(suffix)?;
            (kinds.get(name) == Some(&"histogram")).then_some(name)
        });
        let name = of_histogram.unwrap_or(&sample.name);
        if !kinds.contains_key(name) {
            faults.insert(format!("{name} has no type"));
        }
        let Some(metric) = catalogue.get(name) else { continue };
        let wanted: BTreeSet<&str> = metric.info.label_names().collect();
        let state = (!metric.info.states.is_empty()).then_some(name);
        let optional: BTreeSet<&str> = metric.more.iter().map(|label| label.name).collect();
        let has: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
        let may = |label: &str| {
            OF_SCOPES.contains(&label)
                || optional.contains(label)
                || state == Some(label)
                || (label == "le" && of_histogram.is_some())
        };
        for label in wanted.difference(&has) {
            // An empty value says as much as no label.
            if metric.info.form != Form::DynamicFamily {
                faults.insert(format!("{name} lacks {label}"));
            }
        }
        for label in has.difference(&wanted).filter(|label| !may(label)) {
            faults.insert(format!("{name} has {label}"));
        }
    }
    faults
}

fn check(protocol: &str) {
    let catalogue = by_name();
    let quickstart = Quickstart::start(&[
        "--protocol",
        protocol,
        "--load",
        "3",
        "--ttft-ms",
        "5",
        "--itl-ms",
        "1",
    ]);
    let text = wait_for("answers", || {
        let text = quickstart.text();
        let page = Page::read(&text);
        let ended = page.sum("dynamo_component_requests_total", &[]).unwrap_or(0.0);
        (ended > 20.0).then_some(text)
    });
    let found = faults(&text, &catalogue);
    assert!(found.is_empty(), "{}", Vec::from_iter(found).join("\n"));
    for name in ["process_cpu_seconds_total", "node_load1", "tokio_workers"] {
        assert!(text.contains(&format!("# TYPE {name} ")), "{name}");
    }
}

#[test]
fn nothing_is_shown_of_chats_that_is_not_in_the_catalogue() {
    check("openai");
}

#[test]
fn nothing_is_shown_of_grpc_that_is_not_in_the_catalogue() {
    check("grpc");
}

#[test]
fn what_is_not_in_the_catalogue_is_found() {
    let catalogue = by_name();
    let page = "# TYPE made_up gauge\nmade_up 1\n\
                # TYPE process_threads counter\nprocess_threads{shape=\"round\"} 1\n\
                # TYPE node_load1 gauge\nnode_load1 1\n";
    let wanted = [
        "made_up is not in the catalogue",
        "process_threads has shape",
        "process_threads is a counter, and no gauge",
    ];
    assert_eq!(Vec::from_iter(faults(page, &catalogue)), wanted);
}
