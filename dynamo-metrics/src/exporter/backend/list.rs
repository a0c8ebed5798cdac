//! Backends by configuration: as text, from the environment, and over HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, StatusCode};

use super::entry::{excerpt, read, told};
use super::{Backend, BackendError, BackendHandle};
use crate::name::NameError;
use crate::registry::Registry;

/// Where the environment names backends.
const VARIABLE: &str = "DYN_BACKENDS";

/// Most backends, unless they are told otherwise.
const MOST: usize = 64;

/// The backends of a registry, by the endpoints that they are of.
///
/// They come from [text](Self::add), from [`DYN_BACKENDS`](Self::env), and, where an
/// exporter [accepts](crate::exporter::Exporter::accept_backends) it, over HTTP. An entry is
/// `namespace.component.endpoint=URL`, and may go on with `;timeout=2s` (or `ms`), `;prefix=..`,
/// `;only=a|b`, `;without=a|b` and `;honor_labels`, which are what [`Backend`] has; commas and line
/// ends stand between entries (in an address a comma is `%2C`, a semicolon `%3B`). An entry with the
/// endpoint and the address of one before replaces it. What came over HTTP can be replaced and removed
/// over HTTP; what was configured here cannot.
///
/// # Examples
/// ```
/// use dynamo_metrics::exporter::Backends;
/// use dynamo_metrics::registry::Registry;
///
/// let backends = Backends::new(&Registry::new());
/// backends.add("prod.backend.generate=http://127.0.0.1:8000/metrics;only=vllm:")?;
/// assert_eq!(backends.list(), ["prod.backend.generate=http://127.0.0.1:8000/metrics"]);
/// # Ok::<(), dynamo_metrics::exporter::BackendsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Backends {
    registry: Registry,
    most: usize,
    any_host: bool,
    entries: Arc<Mutex<BTreeMap<Key, Entry>>>,
}

/// A backend that is fetched.
#[derive(Debug)]
struct Entry {
    /// Without a query.
    address: String,
    handle: BackendHandle,
    origin: Origin,
}

/// Who named a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Whoever runs the process.
    Configured,
    /// Somebody, over HTTP.
    Remote,
}

/// Endpoint and address.
type Key = (String, String);

/// Why an entry makes no backend. None of the entries beside it were taken, either. Of addresses,
/// errors tell neither passwords nor queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendsError {
    /// It does not read `namespace.component.endpoint=URL`.
    #[error("expected namespace.component.endpoint=URL, found {0:?}")]
    Syntax(String),
    /// The address is none.
    #[error("backend {entry:?}")]
    Backend {
        /// The entry.
        entry: String,
        /// What is wrong with it.
        source: BackendError,
    },
    /// The prefix can be no part of a name.
    #[error("prefix of backend {entry:?}")]
    Prefix {
        /// The entry.
        entry: String,
        /// What is wrong with the prefix.
        source: NameError,
    },
    /// There is no such option, or it cannot have this value.
    #[error("unknown option or value {0:?}")]
    Option(String),
    /// It came over HTTP, and is not on this machine.
    #[error("{0} is not a loopback address")]
    Host(String),
    /// It came over HTTP, and the one of its endpoint and address did not.
    #[error("{0} is configured here, and not over HTTP")]
    Configured(String),
    /// There are as many backends as there may be.
    #[error("no more than {0} backends")]
    TooMany(usize),
}

impl Backends {
    /// None so far, in `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let (registry, entries) = (registry.clone(), Arc::default());
        Self { registry, most: MOST, any_host: false, entries }
    }

    /// Takes at most so many (default: 64).
    #[must_use]
    pub fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Takes backends on any host from whoever may speak to the exporter (default: over HTTP only
    /// those on this machine). They are fetched from here, so this lets others look at whatever this
    /// process can reach.
    #[must_use]
    pub fn any_host(mut self) -> Self {
        self.any_host = true;
        self
    }

    /// Adds all entries of `text`; returns how many.
    ///
    /// # Errors
    /// [`BackendsError`], for the first entry that is wrong; none is taken then.
    pub fn add(&self, text: &str) -> Result<usize, BackendsError> {
        self.add_if(text, Origin::Configured, |_| Ok(()))
    }

    /// Adds all entries of the variable `DYN_BACKENDS`, if it is set; returns how many.
    ///
    /// # Errors
    /// [`BackendsError`], for the first entry that is wrong; none is taken then.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::{exporter::Backends, registry::Registry};
    ///
    /// let backends = Backends::new(&Registry::new());
    /// assert_eq!(backends.env(|name| std::env::var(name).ok())?, 0);
    /// # Ok::<(), dynamo_metrics::exporter::BackendsError>(())
    /// ```
    pub fn env(&self, look_up: impl Fn(&str) -> Option<String>) -> Result<usize, BackendsError> {
        look_up(VARIABLE).map_or(Ok(0), |text| self.add(&text))
    }

    /// Removes the backend of this endpoint at this address; whether it was there.
    pub fn remove(&self, endpoint: &str, address: &str) -> bool {
        let Ok(backend) = Backend::new(address) else { return false };
        let removed = self.lock().remove(&(endpoint.trim().to_owned(), backend.url()));
        removed.map(Entry::end).is_some()
    }

    /// All of them, without their options.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let entries = self.lock();
        entries.keys().map(|(endpoint, address)| format!("{endpoint}={address}")).collect()
    }

    /// All of them, as whoever asks over HTTP sees them: without queries, which may hold secrets.
    pub(in crate::exporter) fn list_remote(&self) -> Vec<String> {
        let entries = self.lock();
        let shown =
            |((endpoint, _), entry): (&Key, &Entry)| format!("{endpoint}=http://{}", entry.address);
        entries.iter().map(shown).collect()
    }

    /// Adds what came over HTTP.
    pub(in crate::exporter) fn add_remote(&self, text: &str) -> Result<usize, BackendsError> {
        self.add_if(text, Origin::Remote, |backend| {
            let host = backend.host().trim_matches(['[', ']']);
            let here = IpAddr::from_str(host).is_ok_and(|host| host.is_loopback());
            if here || host.eq_ignore_ascii_case("localhost") || self.any_host {
                Ok(())
            } else {
                Err(BackendsError::Host(excerpt(host)))
            }
        })
    }

    /// Removes what came over HTTP; whether all of it was there.
    pub(in crate::exporter) fn remove_remote(&self, text: &str) -> Result<bool, BackendsError> {
        let keys: Vec<_> = read(text)?.iter().map(key).collect();
        let mut entries = self.lock();
        keys.iter().try_for_each(|key| may_change(&entries, key, Origin::Remote))?;
        let mut all = true;
        for key in keys {
            let removed = entries.remove(&key);
            all &= removed.map(Entry::end).is_some();
        }
        Ok(all)
    }

    fn add_if(
        &self,
        text: &str,
        origin: Origin,
        may: impl Fn(&Backend) -> Result<(), BackendsError>,
    ) -> Result<usize, BackendsError> {
        let read = read(text)?;
        read.iter().try_for_each(|(_, backend)| may(backend))?;
        let count = read.len();
        // The last one of a key counts.
        let wanted: BTreeMap<_, _> = read.into_iter().map(|it| (key(&it), it.1)).collect();
        let mut entries = self.lock();
        wanted.keys().try_for_each(|key| may_change(&entries, key, origin))?;
        let new = wanted.keys().filter(|key| !entries.contains_key(key)).count();
        if entries.len() + new > self.most {
            return Err(BackendsError::TooMany(self.most));
        }
        for (key, backend) in wanted {
            // It goes first: both are told of by the same label.
            if let Some(before) = entries.remove(&key) {
                before.end();
            }
            let names: Vec<_> = key.0.split('.').collect();
            let address = backend.address();
            let handle = backend.register_for(&self.registry, &names);
            entries.insert(key, Entry { address, handle, origin });
        }
        Ok(count)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn end(self) {
        self.handle.remove();
    }
}

impl BackendsError {
    /// What a client who sent the entry by `method` is told.
    pub(in crate::exporter) fn status(&self, method: &Method) -> StatusCode {
        match self {
            Self::Configured(_) if method == Method::DELETE => StatusCode::FORBIDDEN,
            Self::Configured(_) => StatusCode::CONFLICT,
            Self::Host(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

fn key((endpoint, backend): &(String, Backend)) -> Key {
    (endpoint.clone(), backend.url())
}

/// Whether the one at `key`, if there is one, is of those that `origin` may replace or remove.
fn may_change(
    entries: &BTreeMap<Key, Entry>,
    key: &Key,
    origin: Origin,
) -> Result<(), BackendsError> {
    let before = entries.get(key).map(|entry| entry.origin);
    if origin == Origin::Remote && before == Some(Origin::Configured) {
        return Err(BackendsError::Configured(told(&key.0, &key.1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_taken_together_or_not_at_all() {
        let backends = Backends::new(&Registry::new()).most(3);
        let added = backends.add("a.b.c=http://h:1/m;timeout=2s;prefix=x;only=p|q;without=r;honor_labels,\n a=http://h\n");
        assert_eq!(added.unwrap(), 2);
        assert_eq!(backends.add("a=http://h;timeout=500ms").unwrap(), 1);
        assert_eq!(backends.list(), ["a=http://h/metrics", "a.b.c=http://h:1/m"]);
        for wrong in [
            "x",
            "=http://h",
            "a..b=http://h",
            "x=http://h,y",
            "x=ftp://h",
            "x=http://h;timeout=2",
            "x=http://h;timeout=0s",
            "x=http://h;prefix=",
            "x=http://h;honor_labels=no",
            "x=http://h;color=red",
            "x=http://h,y=http://h",
        ] {
            assert!(backends.add(wrong).is_err(), "{wrong}");
            assert_eq!(backends.list().len(), 2, "{wrong}");
        }
        assert!(backends.remove("a", "http://h/") && !backends.remove("a", "http://h/"));
    }

    #[test]
    fn others_may_name_this_machine_alone() {
        let backends = Backends::new(&Registry::new());
        for (host, may) in [
            ("127.0.0.1:80", true),
            ("127.1.2.3", true),
            ("[::1]:80", true),
            ("localhost", true),
            ("169.254.169.254", false),
            ("10.0.0.1", false),
            ("localhost.evil.example", false),
            ("[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(backends.add_remote(&format!("a=http://{host}")).is_ok(), may, "{host}");
        }
        let any = backends.any_host();
        assert!(any.add_remote("b=http://10.0.0.1").is_ok());
    }
}
