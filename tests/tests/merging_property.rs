//! Whatever several sources tell, and whatever we have: the merged page is valid, and nobody's series
//! is lost for another's fault.

mod scraped;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use dynamo_metrics::encode;
use dynamo_metrics::exporter::{Backend, Exporter, Pushes};
use dynamo_metrics::foreign::{Format, Limits, Parsed, Value, parse};
use dynamo_metrics::registry::{Registry, Scope};
use dynamo_metrics_tests::peer::{OPENMETRICS, Peer, TEXT};
use http::Method;
use proptest::prelude::*;

use crate::scraped::{FORMATS, read_back, send};

/// What a family may be, in each way of writing.
const KINDS: [&str; 8] =
    ["counter", "gauge", "histogram", "summary", "unknown", "info", "stateset", "gaugehistogram"];

/// Suffixes that samples of some kind have, so that names clash often.
const SUFFIXES: [&str; 10] =
    ["", "", "_total", "_count", "_sum", "_bucket", "_created", "_info", "_gcount", "_gsum"];

/// One family with a series or two.
#[derive(Debug, Clone)]
struct Told {
    name: String,
    kind: &'static str,
    label: String,
    help: String,
    value: u32,
    twice: bool,
}

/// One source: its page, and where it stands.
#[derive(Debug, Clone)]
struct Source {
    open: bool,
    component: bool,
    told: Vec<Told>,
}

/// Name, labels, and the value as it prints.
type Lines = BTreeMap<(String, Vec<(String, String)>), String>;

fn told() -> impl Strategy<Value = Told> {
    let name = ("[ab]", 0..SUFFIXES.len()).prop_map(|(stem, at)| format!("{stem}{}", SUFFIXES[at]));
    let kind = (0..KINDS.len()).prop_map(|at| KINDS[at]);
    let help = prop_oneof!["[a-z \\\\\"]{0,6}", Just(String::new())];
    (name, kind, "[xy\\\\\"é]{0,2}", help, 1..1_000_u32, any::<bool>()).prop_map(
        |(mut name, kind, label, help, value, twice)| {
            // A gauge `a_created` beside it would read back as its time of creation.
            if matches!(kind, "histogram" | "gaugehistogram" | "summary") {
                name = name.replace("_total", "");
            }
            Told { name, kind, label, help, value, twice }
        },
    )
}

fn source() -> impl Strategy<Value = Source> {
    (any::<bool>(), any::<bool>(), prop::collection::vec(told(), 0..5))
        .prop_map(|(open, component, told)| Source { open, component, told })
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

impl Told {
    /// Its lines, which may be wrong for the format.
    fn write(&self, open: bool, page: &mut String) {
        let Self { name, kind, value, .. } = self;
        let kind = match *kind {
            "unknown" if !open => "untyped",
            kind => kind,
        };
        let stem = match kind {
            "counter" if open => name.strip_suffix("_total").unwrap_or(name),
            "info" => name.strip_suffix("_info").unwrap_or(name),
            _ => name,
        };
        let help = if open { escaped(&self.help) } else { self.help.replace('\\', "\\\\") };
        let _ = write!(page, "# TYPE {stem} {kind}\n# HELP {stem} {help}\n");
        let labels = [self.label.as_str(), "second"];
        for label in &labels[..=usize::from(self.twice)] {
            let label = escaped(label);
            let mut line = |suffix: &str, more: &str, value: u32| {
                let _ = writeln!(page, "{stem}{suffix}{{l=\"{label}\"{more}}} {value}");
            };
            match kind {
                "counter" if open => line("_total", "", *value),
                "info" => line("_info", "", 1),
                "stateset" => line("", &format!(",{stem}=\"on\""), 1),
                "histogram" | "gaugehistogram" => {
                    let [sum, count] = match kind {
                        "histogram" => ["_sum", "_count"],
                        _ => ["_gsum", "_gcount"],
                    };
                    line("_bucket", ",le=\"1.0\"", 1);
                    line("_bucket", ",le=\"+Inf\"", *value);
                    line(sum, "", *value);
                    line(count, "", *value);
                }
                "summary" => {
                    line("", ",quantile=\"0.5\"", *value);
                    line("_sum", "", *value);
                    line("_count", "", *value);
                }
                _ => line("", "", *value),
            }
        }
    }
}

impl Source {
    fn page(&self) -> String {
        let mut page = String::new();
        self.told.iter().for_each(|told| told.write(self.open, &mut page));
        page + if self.open { "# EOF\n" } else { "" }
    }

    fn format(&self) -> Format {
        if self.open { Format::OpenMetrics } else { Format::Text }
    }

    fn scope(&self, registry: &Registry) -> Scope {
        if self.component { registry.component("c") } else { (**registry).clone() }
    }

    /// What it tells that is right, as it should be shown.
    fn lines(&self) -> Lines {
        let parsed = parse(self.page().as_bytes(), self.format(), &Limits::default());
        let place = self.component.then(|| ("dynamo_component".to_owned(), "c".to_owned()));
        let mut lines = Lines::new();
        for ((name, mut labels), value) in lines_of(&parsed) {
            labels.extend(place.clone());
            labels.sort();
            lines.insert((name, labels), value);
        }
        lines
    }
}

/// All series, of which none may be there twice.
fn lines_of(parsed: &Parsed) -> Lines {
    let mut lines = Lines::new();
    for family in &parsed.families {
        for series in &family.series {
            let key = (family.name.clone(), series.labels.clone());
            // Protobuf knows no difference between nothing and zero.
            let number = |number: Option<f64>| number.unwrap_or(0.0);
            let value = match &series.value {
                Value::Histogram(it) => format!("{:?} {} {}", it.buckets, number(it.sum), it.count),
                // A sum and a count without each other are not the same in each format.
                Value::Summary(it) => format!("{:?}", it.quantiles),
                other => format!("{other:?}"),
            };
            assert!(
                lines.insert(key, value).is_none(),
                "twice: {} {:?}",
                family.name,
                series.labels
            );
        }
    }
    lines
}

/// Registers what can be, where `told` says.
fn fill(registry: &Registry, ours: &[Told]) {
    for told in ours {
        let (name, help) = (told.name.as_str(), told.help.as_str());
        let value = i64::from(told.value);
        let label = told.label.as_str();
        match told.kind {
            "counter" => {
                let counter = registry.counter(name, help).label("l", label).register();
                let _ = counter.map(|it| it.inc_by(told.value.into()));
            }
            "histogram" => {
                let histogram = registry.histogram(name, help).label("l", label);
                let _ = histogram.buckets([1.0]).register().map(|it| it.observe(value as f64));
            }
            "info" => drop(registry.info(name, help).label("l", label).register()),
            _ => {
                let gauge = registry.gauge(name, help).label("l", label).register();
                let _ = gauge.map(|it| it.set(value));
            }
        }
    }
}

/// The registry's page, without what it tells of itself.
fn pages(registry: &Registry) -> [Parsed; 3] {
    let pages = [
        encode::text(registry).into_bytes(),
        encode::openmetrics(registry).into_bytes(),
        encode::protobuf(registry),
    ];
    let mut pages = pages.iter();
    FORMATS.map(|format| {
        let page = pages.next().unwrap();
        let parsed = parse(page, format, &Limits::default());
        assert_eq!(parsed.faults, [], "{format:?}: {}", String::from_utf8_lossy(page));
        parsed
    })
}

fn is_of_others(name: &str) -> bool {
    !name.starts_with("dynamo_metrics_")
}

/// Checks a page against what we have and what others told.
fn check(format: Format, merged: &Parsed, ours: &Parsed, sources: &[Source]) {
    let (merged, ours) = (lines_of(merged), lines_of(ours));
    // A gauge histogram is no kind of text's: it reads back as a histogram, which may be created.
    let of_gauges = |source: &Source| source.told.iter().any(|it| it.kind == "gaugehistogram");
    let bent = format == Format::Text && sources.iter().any(of_gauges);
    for (key, value) in &ours {
        if !(bent && key.0.ends_with("_created")) {
            assert_eq!(merged.get(key), Some(value), "{format:?}: {key:?} is ours");
        }
    }
    let told: Vec<Lines> = sources.iter().map(Source::lines).collect();
    for (key, value) in merged.iter().filter(|(key, _)| is_of_others(&key.0)) {
        let from = told.iter().any(|lines| lines.get(key) == Some(value));
        assert!(from || bent || ours.contains_key(key), "{format:?}: {key:?} {value} is nobody's");
    }
    // What nobody's name is like has no reason to be left out.
    let stem = |name: &str| name.split('_').next().unwrap().to_owned();
    let mut names: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (at, lines) in told.iter().chain([&ours]).enumerate() {
        for (name, _) in lines.keys() {
            names.entry(stem(name)).or_default().insert(at);
        }
    }
    for (at, lines) in told.iter().enumerate() {
        let families: BTreeSet<&str> = lines.keys().map(|(name, _)| name.as_str()).collect();
        for (key, value) in lines {
            // Of a summary that has no quantiles, nothing may be left in OpenMetrics.
            let whole = value != "[]";
            let alone = whole
                && names[&stem(&key.0)].len() == 1
                && families.iter().filter(|name| stem(name) == stem(&key.0)).count() == 1;
            if alone && format == Format::OpenMetrics {
                assert_eq!(merged.get(key), Some(value), "{at}: {key:?} is lost");
            }
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn what_collectors_tell_merges_into_a_valid_page(
        own in prop::collection::vec(told(), 0..4),
        sources in prop::collection::vec(source(), 0..4),
    ) {
        let (registry, alone) = (Registry::new(), Registry::new());
        fill(&registry, &own);
        fill(&alone, &own);
        for source in &sources {
            let (page, format) = (source.page(), source.format());
            source.scope(&registry).add_collector(move |collected| {
                collected.page(&page, format);
                Ok::<(), io::Error>(())
            });
        }
        for ((merged, ours), format) in pages(&registry).iter().zip(&pages(&alone)).zip(FORMATS) {
            check(format, merged, ours, &sources);
        }
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn what_backends_and_pushers_tell_merges_into_a_valid_page(
        own in prop::collection::vec(told(), 0..4),
        sources in prop::collection::vec(source(), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (registry, alone) = (Registry::new(), Registry::new());
            fill(&registry, &own);
            fill(&alone, &own);
            let exporter = Exporter::new(&registry).accept_pushes(&Pushes::new(&registry));
            let mut peers = Vec::new();
            for source in &sources {
                let kind = if source.open { OPENMETRICS } else { TEXT };
                let peer = Peer::page(kind, source.page()).await;
                let _ = Backend::new(&peer.url()).unwrap().register(&source.scope(&registry)).unwrap();
                peers.push(peer);
            }
            // The first one is pushed too, to a place of its own.
            let pushed = Source { component: true, ..sources[0].clone() };
            if !pushed.open {
                send(&exporter, Method::PUT, "/push/n/c/e", &pushed.page()).await;
            }
            for (ours, format) in pages(&alone).iter().zip(FORMATS) {
                let mut merged = read_back(&exporter, format).await;
                for family in &mut merged.families {
                    let of_push = ("dynamo_namespace".to_owned(), "n".to_owned());
                    family.series.retain(|series| !series.labels.contains(&of_push));
                }
                check(format, &merged, ours, &sources);
            }
        });
    }
}
