//! Whatever others tell, and in whatever way it is odd: strict parsers read the page that we make of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;

use dynamo_metrics::encode::{self, TextEncoder, TextFormat};
use dynamo_metrics::foreign::Format;
use dynamo_metrics::registry::Registry;
use dynamo_metrics_tests::prometheus::Folder;
use dynamo_metrics_tests::tools::python;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

const CASES: usize = 400;

const KINDS: [&str; 8] =
    ["counter", "gauge", "histogram", "summary", "unknown", "info", "stateset", "gaugehistogram"];

/// What names end in, so that some clash.
const ENDS: [&str; 9] =
    ["", "_seconds", "_total", "_seconds_total", "_count", "_sum", "_bucket", "_created", "_info"];

/// Numbers at which something changes, in values and in bounds.
const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "2",
    "0.5",
    "-0.5",
    "1e6",
    "1e-5",
    "1e300",
    "-0",
    "9007199254740993",
    "NaN",
    "+Inf",
    "-Inf",
];

/// One family: its name, its kind, what else is said of it, and its series.
#[derive(Debug, Clone)]
struct Told {
    name: String,
    kind: &'static str,
    help: String,
    unit: bool,
    series: Vec<Points>,
}

/// One series: a label's value, numbers, and which of its parts are there.
#[derive(Debug, Clone)]
struct Points {
    label: String,
    numbers: Vec<&'static str>,
    parts: [bool; 4],
}

fn number() -> impl Strategy<Value = &'static str> {
    // Mostly whole and positive, or little would be left of most histograms.
    prop_oneof![
        2 => (0..NUMBERS.len()).prop_map(|at| NUMBERS[at]),
        3 => (0..4_usize).prop_map(|at| ["0", "1", "2", "7"][at]),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let name = ("[ab]|v:c|_d", 0..ENDS.len()).prop_map(|(stem, at)| stem + ENDS[at]);
    let kind = (0..KINDS.len()).prop_map(|at| KINDS[at]);
    let series = ("[xy\\\\\"é]{0,2}", prop::collection::vec(number(), 8), any::<[bool; 4]>());
    let series = series.prop_map(|(label, numbers, parts)| Points { label, numbers, parts });
    let help = "[a-z \\\\\"#]{0,6}";
    (name, kind, help, any::<bool>(), prop::collection::vec(series, 1..4))
        .prop_map(|(name, kind, help, unit, series)| Told { name, kind, help, unit, series })
}

impl Told {
    fn write(&self, open: bool, page: &mut String) {
        let kind = if self.kind == "unknown" && !open { "untyped" } else { self.kind };
        let stem = match kind {
            "counter" if open => self.name.strip_suffix("_total").unwrap_or(&self.name),
            "info" => self.name.strip_suffix("_info").unwrap_or(&self.name),
            _ => &self.name,
        };
        let help = self.help.replace('\\', "\\\\");
        let help = if open { help.replace('"', "\\\"") } else { help };
        let _ = write!(page, "# TYPE {stem} {kind}\n# HELP {stem} {help}\n");
        if open && self.unit {
            let _ = writeln!(page, "# UNIT {stem} seconds");
        }
        for series in &self.series {
            series.write(stem, (kind, open), page);
        }
    }
}

impl Points {
    fn write(&self, stem: &str, (kind, open): (&str, bool), page: &mut String) {
        let label = self.label.replace('\\', "\\\\").replace('"', "\\\"");
        let mut line = |suffix: &str, more: &str, value: &str| {
            let exemplar = if open && self.parts[3] && matches!(suffix, "_bucket" | "_total") {
                " # {trace_id=\"a\"} 0.5"
            } else {
                ""
            };
            let _ = writeln!(page, "{stem}{suffix}{{l=\"{label}\"{more}}} {value}{exemplar}");
        };
        let [first, second, third, low, high, sum, count, created] = self.numbers[..] else {
            return;
        };
        match kind {
            "counter" if open => line("_total", "", first),
            "info" => line("_info", ",version=\"1\"", "1"),
            "stateset" => {
                line("", &format!(",{stem}=\"{low}\""), "1");
                line("", &format!(",{stem}=\"{high}\""), "0");
            }
            "histogram" | "gaugehistogram" => {
                let names =
                    if kind == "histogram" { ["_sum", "_count"] } else { ["_gsum", "_gcount"] };
                line("_bucket", &format!(",le=\"{low}\""), first);
                line("_bucket", &format!(",le=\"{high}\""), second);
                line("_bucket", ",le=\"+Inf\"", third);
                if self.parts[0] {
                    line(names[0], "", sum);
                }
                if self.parts[1] {
                    line(names[1], "", third);
                }
            }
            "summary" => {
                line("", ",quantile=\"0.5\"", first);
                line("", ",quantile=\"1\"", second);
                if self.parts[0] {
                    line("_sum", "", sum);
                }
                if self.parts[1] {
                    line("_count", "", count);
                }
            }
            _ => line("", "", first),
        }
        if open && self.parts[2] && ["counter", "histogram", "summary"].contains(&kind) {
            line("_created", "", created);
        }
    }
}

/// Both pages of a registry with these sources.
fn pages(sources: &[(bool, Vec<Told>)]) -> [String; 2] {
    let registry = Registry::new();
    for (at, (open, families)) in sources.iter().enumerate() {
        let mut page = String::new();
        for told in families {
            told.write(*open, &mut page);
        }
        page.push_str(if *open { "# EOF\n" } else { "" });
        let format = if *open { Format::OpenMetrics } else { Format::Text };
        // Two sources at one place may tell states of one thing, which do not come together.
        let scope = registry.component(&format!("c{at}"));
        scope.add_collector(move |collected| {
            collected.page(&page, format);
            Ok::<(), io::Error>(())
        });
    }
    let mut openmetrics = TextEncoder::new(TextFormat::OpenMetrics).created(true);
    registry.gather(&mut openmetrics);
    [encode::text(&registry), openmetrics.finish()]
}

#[test]
fn strict_parsers_read_whatever_others_told() {
    let folder = Folder::new("strict-pages");
    let mut runner = TestRunner::deterministic();
    let source = (any::<bool>(), prop::collection::vec(told(), 1..4));
    let sources = prop::collection::vec(source, 1..3);
    let mut files = Vec::new();
    for case in 0..CASES {
        let [text, openmetrics] = pages(&sources.new_tree(&mut runner).unwrap().current());
        files.push(folder.write(&format!("{case}.text"), &text));
        files.push(folder.write(&format!("{case}.openmetrics"), &openmetrics));
    }
    let read = python("read_pages.py").args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
    // Something is left of each kind.
    let kinds = String::from_utf8_lossy(&read.stdout);
    let kinds: BTreeSet<&str> = kinds.split_whitespace().collect();
    assert_eq!(kinds, BTreeSet::from(KINDS));
}
