//! `METRICS.md`, as it must be.

use std::fmt::Write as _;

use dynamo_metrics::metric::MetricKind;
use dynamo_metrics_tests::golden;

use super::listing::{Entry, Metric, buckets, entries, values};

const HEADER: &str = "\
# Metrics

Every metric that these crates can show, by set. Written by `cargo xtask docs` from what the sets say of
themselves; `METRICS.json` says the same for programs.

- Beside the labels that are listed, every series has those of its scope: `dynamo_namespace`,
  `dynamo_component` and `dynamo_endpoint`, as far as the scope has them, and `worker_id` where the registry
  was given one.
- Prefixes are those that a set has unless its scope was given another one; those of health, exporters
  and collectors are fixed.
- Labels in brackets are there where whoever registers the set asks for them.
- A histogram that is *native too* has exponential buckets beside the listed ones, for scrapers that ask
  for the protobuf format.
";

#[test]
fn the_page_of_metrics_is_that_of_the_sets() {
    golden::check_page("METRICS.md", &page(&entries()));
}

fn page(entries: &[Entry]) -> String {
    let mut page = HEADER.to_owned();
    page.push_str("\n| set | measures | metrics |\n|---|---|---|\n");
    for Entry { info, .. } in entries {
        let (name, help) = (info.name, text(info.help));
        let count = info.metrics.len();
        writeln!(page, "| [{name}](#{}) | {help} | {count} |", anchor(name)).unwrap();
    }
    for entry in entries {
        set(&mut page, entry);
    }
    page
}

fn set(page: &mut String, entry: &Entry) {
    let info = entry.info;
    write!(page, "\n## {}\n\n{}\n\n", info.name, text(info.help)).unwrap();
    write!(page, "`{}`", info.module).unwrap();
    if let [first, others @ ..] = &entry.under[..]
        && !others.is_empty()
    {
        let prefixes: Vec<_> = others.iter().map(|it| format!("`{}_`", it.prefix())).collect();
        let (first, others) = (first.prefix(), prefixes.join(", "));
        write!(page, "; also with {others} in place of `{first}_`").unwrap();
    }
    page.push_str("\n\n| name | kind | unit | labels | what | where it is taken |\n");
    page.push_str("|---|---|---|---|---|---|\n");
    let all: Vec<Metric> = entry.metrics().collect();
    for metric in &all {
        let names = metric.names.iter().step_by(metric.prefixes);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let unit = metric.info.unit.map_or("", |unit| unit.as_str());
        let row = [
            &names.join("<br>"),
            metric.info.kind.as_str(),
            unit,
            &labels(metric),
            &text(metric.info.help),
            &text(metric.source),
        ];
        writeln!(page, "| {} |", row.join(" | ")).unwrap();
    }
    let histograms: Vec<_> =
        all.iter().filter(|it| it.info.kind == MetricKind::Histogram).collect();
    if !histograms.is_empty() {
        page.push_str("\nBuckets:\n\n");
    }
    for metric in histograms {
        let (bounds, native) = buckets(metric.info).unwrap();
        let bounds: Vec<_> = bounds.iter().map(f64::to_string).collect();
        let native = if native { "; native too" } else { "" };
        writeln!(page, "- `{}`: {}{native}", metric.names[0], bounds.join(", ")).unwrap();
    }
}

fn labels(metric: &Metric) -> String {
    let one = |label: &dynamo_metrics::label::LabelInfo| match values(label) {
        Some(values) => format!("`{}`: {}", label.name, values.join(", ")),
        None => format!("`{}`", label.name),
    };
    let constants = metric.info.constants.iter().map(|(name, value)| format!("`{name}`: {value}"));
    let own = constants.chain(metric.info.labels.iter().map(one));
    let states = (!metric.info.states.is_empty())
        .then(|| format!("`{}`: {}", metric.names[0], metric.info.states.join(", ")));
    let more = metric.more.iter().map(|label| format!("[`{}`]", label.name));
    own.chain(states).chain(more).collect::<Vec<_>>().join("<br>")
}

/// Text as a cell of a table may have it.
fn text(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let letter = |c: char| (c.is_alphanumeric() || c == '-' || c == '_').then_some(c);
    let dash = |c: char| if c == ' ' { Some('-') } else { letter(c) };
    heading.to_lowercase().chars().filter_map(dash).collect()
}
