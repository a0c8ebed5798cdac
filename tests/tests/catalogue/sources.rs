//! That no set is forgotten: the sources are searched for what derives `MetricSet`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The module of a file, as the compiler calls it.
fn module(krate: &str, folder: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(folder).unwrap().with_extension("");
    let parts = relative.iter().map(|part| part.to_str().unwrap());
    let parts = parts.filter(|part| !matches!(*part, "mod" | "lib"));
    std::iter::once(krate).chain(parts).collect::<Vec<_>>().join("::")
}

/// The sets that a file derives, by the names that they give themselves.
fn sets(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut found = Vec::new();
    for (at, line) in code.iter().enumerate() {
        if !(line.trim_start().starts_with("#[derive(") && line.contains("MetricSet")) {
            continue;
        }
        let end = code[at..].iter().position(|line| line.contains("struct ")).unwrap();
        let head = code[at..=at + end].join(" ");
        let after = head.split("struct ").nth(1).unwrap();
        let own: String = after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // One field without a name: another name of a set that is found by itself.
        if after[own.len()..].starts_with('(') {
            continue;
        }
        // What a macro makes has the name that the macro is given.
        if own.is_empty() {
            continue;
        }
        let said = head.split("metric_set(").nth(1).and_then(|rest| rest.split(")]").next());
        let named = said
            .and_then(|said| said.split("name = \"").nth(1))
            .and_then(|rest| rest.split('"').next());
        found.push(named.map_or(own, str::to_owned));
    }
    found
}

#[test]
fn every_set_of_the_sources_is_in_the_catalogue() {
    let listed: BTreeSet<(String, String)> = dynamo_metrics::catalogue()
        .iter()
        .flat_map(|set| set.listed().collect::<Vec<_>>())
        .map(|listed| (listed.info().module.to_owned(), listed.info().name.to_owned()))
        .collect();
    let (mut seen, mut missing) = (0, Vec::new());
    for (krate, folder) in [
        ("dynamo_metrics", "../dynamo-metrics/src"),
        ("dynamo_metrics_tower", "../dynamo-metrics-tower/src"),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        sources(&folder, &mut files);
        for path in files.iter().filter(|path| !path.ends_with("tests.rs")) {
            for name in sets(&fs::read_to_string(path).unwrap()) {
                seen += 1;
                let set = (module(krate, &folder, path), name);
                if !listed.contains(&set) {
                    missing.push(format!("{}: {}", set.0, set.1));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} sets were found: the search is broken");
    assert!(missing.is_empty(), "not in the catalogue: {}", missing.join(", "));
}

#[test]
fn the_search_finds_sets_by_the_names_that_they_have() {
    let source = "/// #[derive(MetricSet)]\n#[derive(Debug, MetricSet)]\nstruct A {\n    b: Counter,\n}\n\
                  #[derive(MetricSet)]\n#[metric_set(name = \"Other\", prefix = \"x\")]\npub struct B {}\n\
                  #[derive(Clone, MetricSet)]\npub struct C(Arc<A>);\n";
    assert_eq!(sets(source), ["A", "Other"]);
}
