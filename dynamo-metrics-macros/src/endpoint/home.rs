//! Where the crate is: under its own name, unless it is said to be elsewhere.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};
use syn::{Error, Path, Result};

/// The packages that a manifest names, as far as they are of interest.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    AsItself,
    As(String),
    Nowhere,
}

/// The path of the crate.
pub(super) fn path(told: Option<&Path>) -> Result<TokenStream> {
    /// The last package that was asked for: an editor may expand those of many in one process.
    static LAST: Mutex<Option<(Option<OsString>, Named)>> = Mutex::new(None);
    if let Some(path) = told {
        return Ok(path.to_token_stream());
    }
    let folder = std::env::var_os("CARGO_MANIFEST_DIR");
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.as_ref().is_none_or(|(of, _)| *of != folder) {
        *last = Some((folder.clone(), manifest(folder)));
    }
    let named = last.as_ref().map_or(&Named::AsItself, |(_, named)| named);
    let why = match named {
        Named::AsItself => return Ok(quote!(::dynamo_metrics)),
        Named::As(name) => {
            format!("`dynamo-metrics` is called `{name}` here: say so with `crate = {name}`")
        }
        Named::Nowhere => {
            "`dynamo-metrics` is no dependency of this package: say with `crate = ..` \
                           where it is found"
                .to_owned()
        }
    };
    Err(Error::new(Span::call_site(), why))
}

/// What the manifest says of the package that is built; what cannot be read says nothing.
fn manifest(folder: Option<OsString>) -> Named {
    let folder = folder.map(PathBuf::from);
    let text = folder.and_then(|folder| std::fs::read_to_string(folder.join("Cargo.toml")).ok());
    text.map_or(Named::AsItself, |text| named(&text))
}

/// Looks for the one word that matters, since the rest of a manifest is none of our business.
fn named(manifest: &str) -> Named {
    const PACKAGE: &str = "dynamo-metrics";
    let is = |name: &str| name.trim_matches(['"', '\'']).replace('_', "-") == PACKAGE;
    let (mut table, mut named) = ("", Named::Nowhere);
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.split(']').next().unwrap_or(header).trim_matches('[');
            if table.rsplit('.').next().is_some_and(is) {
                return Named::AsItself;
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (whole, key) = (key, key.split('.').next().unwrap_or(key).trim());
        if whole.split('.').any(|part| is(part.trim()))
            || (table == "package" && key == "name" && is(value.trim()))
        {
            return Named::AsItself;
        }
        let renames = |text: &str| text.split('=').nth(1).is_some_and(|it| is(quoted(it)));
        if key == "package" && is(quoted(value)) {
            named = Named::As(table.rsplit('.').next().unwrap_or(table).to_owned());
        } else if value.find("package").is_some_and(|at| renames(&value[at..])) {
            named = Named::As(key.to_owned());
        }
    }
    named
}

/// The first text in quotes.
fn quoted(text: &str) -> &str {
    text.split(['"', '\'']).nth(1).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_what_the_crate_is_called() {
        for (manifest, expected) in [
            ("[dependencies]\ndynamo-metrics = \"0.1\"", Named::AsItself),
            ("[dependencies]\ndynamo_metrics = { version = \"0.1\" }", Named::AsItself),
            ("[dev-dependencies]\ndynamo-metrics.workspace = true", Named::AsItself),
            ("[dependencies.dynamo-metrics]\nversion = \"0.1\"", Named::AsItself),
            ("[target.'cfg(unix)'.dependencies.\"dynamo-metrics\"]", Named::AsItself),
            ("dependencies.dynamo-metrics = \"0.1\"", Named::AsItself),
            ("[package]\nname = \"dynamo-metrics\"", Named::AsItself),
            (
                "[dependencies]\nsdk = { version = \"0.1\", package = \"dynamo-metrics\" }",
                Named::As("sdk".to_owned()),
            ),
            (
                "[dependencies.sdk]\nversion = \"0.1\"\npackage = 'dynamo-metrics'",
                Named::As("sdk".to_owned()),
            ),
            ("[dependencies]\ndynamo-metrics-tower = \"0.1\"", Named::Nowhere),
            ("[package]\nname = \"dynamo-metrics-tests\"", Named::Nowhere),
            ("# dynamo-metrics = 1", Named::Nowhere),
            ("not = a manifest = [", Named::Nowhere),
            ("", Named::Nowhere),
        ] {
            assert_eq!(named(manifest), expected, "{manifest}");
        }
    }
}
