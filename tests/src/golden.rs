//! Golden files: what is exposed, to the letter.

use crate::tools::workspace;

/// Fails unless the golden file `name` holds `text`; with `GOLDEN=overwrite` in the environment, it
/// will.
///
/// # Panics
/// If it does not.
pub fn check(name: &str, text: &str) {
    check_page(&format!("tests/golden/{name}"), text);
}

/// The same for any file of the workspace.
///
/// # Panics
/// If it does not.
pub fn check_page(name: &str, text: &str) {
    let path = workspace().join(name);
    if std::env::var_os("GOLDEN").is_some_and(|value| value == "overwrite") {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    // Line by line, so that a failure says which.
    for (number, (is, should)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(is, should, "{name}, line {}; GOLDEN=overwrite writes it anew", number + 1);
    }
    assert_eq!(text.len(), golden.len());
}

/// A page without its values, which no file can know.
#[must_use]
pub fn without_values(page: &str) -> String {
    let line = |line: &str| match line.rsplit_once(' ') {
        Some((series, _)) if !line.starts_with('#') => format!("{series} _\n"),
        _ => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}
