//! Entries: what text says of backends, and what of it may be repeated.

use std::time::Duration;

use super::{Backend, BackendsError};
use crate::name::scope_value;

/// Most characters of an entry that an error repeats.
const EXCERPT: usize = 100;

/// Most bytes of a name.
const LONGEST_NAME: usize = 256;

/// All entries of a text, as endpoints and what is there.
pub(super) fn read(text: &str) -> Result<Vec<(String, Backend)>, BackendsError> {
    let entries = text.split([',', '\n', '\r']).map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(read_one).collect()
}

/// Whether something is left of a name where it is a label's value.
pub(in crate::exporter) fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME && scope_value(name).contains(|c: char| c.is_ascii_alphanumeric())
}

/// An entry as errors have it: the endpoint, and of the address what is no secret.
pub(super) fn told(endpoint: &str, address: &str) -> String {
    // Without a scheme there is no telling what it is.
    let address = if address.contains("://") { place(address) } else { "..".to_owned() };
    excerpt(&format!("{}={address}", place(endpoint)))
}

/// The start of what is long.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT).collect()
}

fn read_one(entry: &str) -> Result<(String, Backend), BackendsError> {
    let Some((endpoint, rest)) = entry.split_once('=') else {
        return Err(BackendsError::Syntax(excerpt(&place(entry))));
    };
    let (endpoint, mut parts) = (endpoint.trim(), rest.split(';'));
    let address = parts.next().unwrap_or_default().trim();
    let told = || told(endpoint, address);
    if endpoint.len() > LONGEST_NAME || !endpoint.split('.').all(is_name) {
        return Err(BackendsError::Syntax(told()));
    }
    let mut backend =
        Backend::new(address).map_err(|source| BackendsError::Backend { entry: told(), source })?;
    for option in parts {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let (name, value) = (name.trim(), value.trim());
        // The value may be the rest of a query.
        let unknown = || BackendsError::Option(excerpt(&place(name)));
        let starts = || value.split('|').map(str::trim).filter(|start| !start.is_empty());
        backend = match name {
            "timeout" => backend.timeout(duration(value).ok_or_else(unknown)?),
            "prefix" => backend
                .prefix(value)
                .checked()
                .map_err(|source| BackendsError::Prefix { entry: told(), source })?,
            "only" => backend.only(starts()),
            "without" => backend.without(starts()),
            "honor_labels" if value.is_empty() => backend.honor_labels(),
            _ => return Err(unknown()),
        };
    }
    Ok((endpoint.to_owned(), backend))
}

/// What is no secret in an address that may be no address: scheme, host, port and path. Passwords
/// end at an `@`, and may have anything before that.
fn place(text: &str) -> String {
    let is_scheme = |scheme: &str| scheme.chars().all(|c| c.is_ascii_alphanumeric());
    let parts = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme));
    let Some((scheme, rest)) = parts else { return without_secrets(text).0 };
    let (shown, is_whole) = without_secrets(rest);
    let authority = shown.split('/').next().unwrap_or_default();
    match after_host(authority) {
        // The start of a password, if the rest is in another entry.
        (host, port) if is_whole && !is_port(port) => format!("{scheme}://{host}:.."),
        _ => format!("{scheme}://{shown}"),
    }
}

/// The text without a password or a query; whether no password was in it.
fn without_secrets(text: &str) -> (String, bool) {
    let (place, query) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    match place.rsplit_once('@') {
        // All of it may be a password.
        _ if query.contains('@') => ("..".to_owned(), false),
        Some((_, place)) => (format!("..@{place}"), false),
        None => (place.to_owned(), true),
    }
}

/// A host, which may be in brackets, and what comes after it.
fn after_host(authority: &str) -> (&str, &str) {
    let end = match authority.find(']') {
        Some(end) if authority.starts_with('[') => Some(end + 1),
        _ => authority.find(':'),
    };
    authority.split_at(end.unwrap_or(authority.len()))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.parse::<u16>().is_ok())
}

/// A time of whole seconds or milliseconds.
fn duration(text: &str) -> Option<Duration> {
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| *number > 0);
    match text.strip_suffix("ms") {
        Some(digits) => Some(Duration::from_millis(number(digits)?.into())),
        None => Some(Duration::from_secs(number(text.strip_suffix('s')?)?.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_an_address_is_no_secret() {
        for (address, shown) in [
            ("http://h:80/m", "http://h:80/m"),
            ("http://[::1]/m", "http://[::1]/m"),
            ("https://[::1]:80?x=1", "https://[::1]:80"),
            ("http://user:secret@h", "http://..@h"),
            ("http://user:se@cret@h?x", "http://..@h"),
            ("http://user:se/cret@h", "http://..@h"),
            ("http://user:se?cret@h", "http://.."),
            ("http://user:secr", "http://user:.."),
            ("http://user:se/cr", "http://user:.."),
            ("http://[user:secr", "http://[user:.."),
            ("user:secret@h?next=http://x", "..@h"),
            ("h:80/m?token=x", "h:80/m"),
        ] {
            assert_eq!(place(address), shown, "{address}");
        }
        assert_eq!(told("a.b", "user:secret"), "a.b=..");
        assert_eq!(told("é".repeat(200).as_str(), "").chars().count(), EXCERPT);
    }
}
