//! Where requests go: one of the servers that were given, and never where a client says.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Uri, uri};

/// A server that requests are passed on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// Its endpoint in the metrics.
    pub(crate) name: String,
    pub(crate) authority: Authority,
    /// What stands before each path, without a slash at its end.
    base: String,
}

/// All of them; they take turns, whatever state they are in.
#[derive(Debug)]
pub(crate) struct Upstreams {
    all: Vec<Upstream>,
    turn: AtomicUsize,
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = match text.split_once('=') {
            Some((name, url)) if !name.contains("://") => (Some(name), url),
            _ => (None, text),
        };
        let uri: Uri = url.parse().map_err(|why| format!("{url} is no URL: {why}"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(format!("{url} does not begin with http://"));
        }
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(|| format!("{url} has no host"))?;
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(format!("{url} has a query or a user, which are not passed on"));
        }
        let named = name.unwrap_or(authority.as_str());
        let name = label(named).ok_or_else(|| format!("{text} has no name"))?;
        let base = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { name, authority: authority.clone(), base })
    }
}

impl Upstream {
    /// Where a request for `target` goes; `None` for what is no path (`*`, or a tunnel's host).
    ///
    /// Of the target only path and query count, and they are passed on byte by byte: whose host it
    /// names is not looked at.
    pub(crate) fn uri(&self, target: &Uri) -> Option<Uri> {
        let path = target.path_and_query()?;
        let path = match path.as_str().as_bytes().first()? {
            b'/' if self.base.is_empty() => path.clone(),
            // A query alone, as of `http://host?query`, is shown with the slash that it lacks.
            b'/' | b'?' => PathAndQuery::try_from(format!("{}{path}", self.base)).ok()?,
            _ => return None,
        };
        let uri = uri::Builder::new().scheme(Scheme::HTTP).authority(self.authority.clone());
        uri.path_and_query(path).build().ok()
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

impl Upstreams {
    pub(crate) fn new(all: Vec<Upstream>) -> Self {
        Self { all, turn: AtomicUsize::new(0) }
    }

    /// Whose turn it is; `None` if there is nobody.
    pub(crate) fn next(&self) -> Option<&Upstream> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.all.get(turn.checked_rem(self.all.len())?)
    }
}

/// `name` as a label has it: letters, digits and single underscores, and no digit first.
fn label(name: &str) -> Option<String> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let mut label = parts.collect::<Vec<_>>().join("_");
    if label.chars().next()?.is_ascii_digit() {
        label.insert(0, '_');
    }
    Some(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Upstream {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_given_or_that_of_the_host() {
        assert_eq!(read("http://10.0.0.1:8000").name, "_10_0_0_1_8000");
        assert_eq!(read("http://[::1]:8000/").name, "_1_8000");
        assert_eq!(read("vllm=http://10.0.0.1:8000/a/").to_string(), "http://10.0.0.1:8000/a");
        assert_eq!(read("my vllm=http://gpu/").name, "my_vllm");
        for bad in ["10.0.0.1:8000", "https://a", "http://", "=http://a", "http://a?x=y", "", "/"] {
            assert!(bad.parse::<Upstream>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_path_and_query_of_a_target_count() {
        for (base, target, uri) in [
            ("http://a:1", "/v1/models?x=%20&y", "http://a:1/v1/models?x=%20&y"),
            ("http://a:1/base/", "/v1//../models", "http://a:1/base/v1//../models"),
            ("http://a:1", "http://evil:2/v1/models", "http://a:1/v1/models"),
            ("http://a:1/base", "http://user@evil?q", "http://a:1/base/?q"),
        ] {
            assert_eq!(read(base).uri(&target.parse().unwrap()).unwrap(), uri);
        }
        for none in ["*", "evil:443"] {
            assert_eq!(read("http://a").uri(&none.parse().unwrap()), None);
        }
    }

    #[test]
    fn upstreams_take_turns() {
        let upstreams = Upstreams::new(vec![read("http://a"), read("http://b")]);
        let turns = [(); 5].map(|()| upstreams.next().unwrap().authority.as_str());
        assert_eq!(turns, ["a", "b", "a", "b", "a"]);
        assert_eq!(Upstreams::new(Vec::new()).next(), None);
    }
}
