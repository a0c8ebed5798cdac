//! What a page exposes, without its values: a line for each name, to be compared with a table.

use std::collections::BTreeSet;

/// Each name of a page in the text format with its kind, its labels, and the bounds of its buckets:
/// `calls_seconds histogram {model} 0.1 1 10`. What a registry says of itself is left out.
///
/// # Panics
/// If the page is none of the format's.
#[must_use]
pub fn exposed(page: &str) -> String {
    let mut lines: Vec<String> = families(page).into_iter().filter_map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

/// Name and kind of each family, with its samples.
fn families(page: &str) -> Vec<(&str, &str, Vec<&str>)> {
    let mut families = Vec::new();
    for text in page.lines() {
        if let Some(head) = text.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').unwrap();
            families.push((name, kind, Vec::new()));
        } else if !text.starts_with('#') {
            families.last_mut().unwrap().2.push(text);
        }
    }
    families
}

fn line((name, kind, samples): (&str, &str, Vec<&str>)) -> Option<String> {
    if name.starts_with("dynamo_metrics_") {
        return None;
    }
    let (mut labels, mut bounds) = (BTreeSet::new(), Vec::new());
    for sample in samples {
        for (label, value) in pairs(sample) {
            match label {
                "le" if value != "+Inf" && !bounds.contains(&value) => bounds.push(value),
                "le" => {}
                label => {
                    labels.insert(label);
                }
            }
        }
    }
    let labels = labels.into_iter().collect::<Vec<_>>().join(",");
    let head = format!("{name} {kind} {{{labels}}}");
    Some([&[&*head], &*bounds].concat().join(" ") + "\n")
}

/// The labels of a sample; their values hold no quotation marks here.
fn pairs(sample: &str) -> impl Iterator<Item = (&str, &str)> {
    let labels = sample.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
    labels.split_inclusive("\",").filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once("=\"").unwrap();
        (name, value.trim_end_matches(',').trim_end_matches('"'))
    })
}
