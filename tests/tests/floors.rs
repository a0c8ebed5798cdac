//! The floors of the core: a module imports only from floors below its own.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Modules on one floor do not import each other.
const FLOORS: [&[&str]; 9] = [
    &["sync", "causes", "clock", "name", "unit"],
    &["cell", "label"],
    &["metric"],
    &["registry"],
    &["collect", "encode", "foreign", "llm"],
    &["dynamo"],
    &["exporter", "health"],
    &["catalogue"],
    &["lib"],
];

fn core() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dynamo-metrics/src")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The module of a crate, whose sources are in `root`, that a file belongs to.
fn module(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap();
    relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules named by `crate::..` (in a path, or in the braces right after it), tests and
/// comments left out.
fn imports(source: &str) -> Vec<String> {
    // A module of tests by its file's end, however it is conditional.
    let source = source.replace("#[cfg(all(test, not(dynamo_metrics_loom)))]", "#[cfg(test)]");
    let code: String = source
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut found = Vec::new();
    for root in ["crate::", "dynamo_metrics::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                Some(list) => {
                    let mut depth = 0;
                    let end = list.find(|c| {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        depth < 0
                    });
                    let top = list[..end.unwrap_or(list.len())].split(|c| {
                        depth += i32::from(c == '{') - i32::from(c == '}');
                        c == ',' && depth == -1
                    });
                    found.extend(top.map(word).filter(|word| !word.is_empty()));
                }
                None => found.push(word(rest)),
            }
        }
    }
    found
}

#[test]
fn modules_import_only_from_floors_below() {
    let mut seen = 0;
    let mut faults = Vec::new();
    for path in sources(&core()) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let own = module(&core(), &path);
        let Some(own_floor) = floor(&own) else {
            faults.push(format!("{} stands on no floor", path.display()));
            continue;
        };
        for import in imports(&fs::read_to_string(&path).unwrap()) {
            let below = floor(&import).is_some_and(|floor| floor < own_floor);
            if import != own && !below && own != "lib" {
                faults.push(format!("{}: {own} imports {import}", path.display()));
            }
            seen += 1;
        }
    }
    assert!(seen > 50, "only {seen} imports were found: the search is broken");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_search_finds_imports_of_every_form() {
    let source = "use crate::metric::Counter;\nuse crate::{clock, label::{A, B}, cell};\n\
                  fn f() { crate::encode::text(); }\n// crate::exporter\n";
    assert_eq!(imports(source), ["metric", "clock", "label", "cell", "encode"]);
}

#[test]
fn the_tower_crate_sees_only_what_it_may() {
    let tower = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dynamo-metrics-tower/src");
    let files = sources(&tower);
    let own: Vec<_> = files.iter().map(|path| module(&tower, path)).collect();
    assert!(!own.iter().any(|own| floor(own).is_some_and(|_| own != "lib")), "{own:?}");
    for path in &files {
        for import in imports(&fs::read_to_string(path).unwrap()) {
            let own = own.contains(&import);
            let may = ["label", "metric", "registry", "llm", "clock"].contains(&import.as_str());
            assert!(own || may, "{} imports {import}", path.display());
        }
    }
}

#[test]
fn what_macros_write_names_only_the_private_door() {
    let macros = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dynamo-metrics-macros/src");
    for path in sources(&macros) {
        let source = fs::read_to_string(&path).unwrap();
        for (at, root) in source.match_indices("::dynamo_metrics::") {
            let rest = &source[at + root.len()..];
            assert!(rest.starts_with("__private::"), "{}: {:.40}", path.display(), rest);
        }
    }
}
