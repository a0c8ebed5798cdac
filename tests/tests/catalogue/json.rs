//! `METRICS.json`, as it must be.

use dynamo_metrics::registry::catalogue::Listed;
use dynamo_metrics::unit::Unit;
use dynamo_metrics_tests::golden;
use serde_json::{Value, json};

use super::listing::{Metric, buckets, entries, form, values};

#[test]
fn the_catalogue_for_programs_is_that_of_the_sets() {
    let sets: Vec<Value> = entries()
        .iter()
        .map(|entry| {
            json!({
                "name": entry.info.name,
                "module": entry.info.module,
                "help": entry.info.help,
                "prefixes": entry.under.iter().map(Listed::prefix).collect::<Vec<_>>(),
                "metrics": entry.metrics().map(|metric| of(&metric)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let text = serde_json::to_string_pretty(&json!({ "sets": sets })).unwrap();
    golden::check_page("METRICS.json", &(text + "\n"));
}

fn of(metric: &Metric) -> Value {
    let info = metric.info;
    let label = |label: &dynamo_metrics::label::LabelInfo| json!({ "name": label.name, "values": values(label) });
    let constants: serde_json::Map<String, Value> =
        info.constants.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "names": metric.names,
        "kind": info.kind.as_str(),
        "form": form(info.form),
        "unit": info.unit.map(Unit::as_str),
        "help": info.help,
        "source": metric.source,
        "constant_labels": constants,
        "labels": info.labels.iter().map(label).collect::<Vec<_>>(),
        "optional_labels": metric.more.iter().map(|label| label.name).collect::<Vec<_>>(),
        "states": info.states,
        "buckets": buckets(info).map(|(bounds, _)| bounds),
        "native": info.native.is_some(),
        "exemplars": info.exemplars,
    })
}
