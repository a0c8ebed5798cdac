//! Backends by configuration: as text, from the environment, and over HTTP.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;

use super::{Backend, BackendError, BackendHandle};
use crate::name::NameError;
use crate::registry::{RegisterError, Registry, Scope};

/// Where the environment names backends.
const VARIABLE: &str = "DYN_BACKENDS";

/// Most backends, unless they are told otherwise.
const MOST: usize = 64;

/// Most characters of an entry that an error repeats.
const EXCERPT: usize = 100;

/// The backends of a registry, by the endpoints that they are of.
///
/// They come from [text](Self::add), from [`DYN_BACKENDS`](Self::env), and, where an
/// exporter [accepts](crate::exporter::Exporter::accept_backends) it, over HTTP. An entry is
/// `namespace.component.endpoint=URL`, and may go on with `;timeout=2s` (or `ms`), `;prefix=..`,
/// `;only=a|b`, `;without=a|b` and `;honor_labels`, which are what [`Backend`] has; commas and line
/// ends stand between entries. An entry with the endpoint and the address of one before replaces it.
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
    entries: Arc<Mutex<BTreeMap<Key, BackendHandle>>>,
}

/// Endpoint and address.
type Key = (String, String);

/// Why an entry makes no backend. None of the entries beside it were taken, either.
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
    /// There are as many backends as there may be.
    #[error("no more than {0} backends")]
    TooMany(usize),
    /// The backend's own metrics cannot be registered.
    #[error("the backend's metrics cannot be registered")]
    Register(#[from] RegisterError),
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
        self.add_if(text, |_| Ok(()))
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
        removed.inspect(BackendHandle::remove).is_some()
    }

    /// All of them, without their options.
    #[must_use]
    pub fn list(&self) -> Vec<String> {
        let entries = self.lock();
        entries.keys().map(|(endpoint, address)| format!("{endpoint}={address}")).collect()
    }

    /// Adds what came over HTTP.
    pub(in crate::exporter) fn add_remote(&self, text: &str) -> Result<usize, BackendsError> {
        self.add_if(text, |backend| {
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
        let mut all = true;
        for (endpoint, backend) in read(text)? {
            let removed = self.lock().remove(&(endpoint, backend.url()));
            all &= removed.inspect(BackendHandle::remove).is_some();
        }
        Ok(all)
    }

    fn add_if(
        &self,
        text: &str,
        may: impl Fn(&Backend) -> Result<(), BackendsError>,
    ) -> Result<usize, BackendsError> {
        let wanted = read(text)?;
        for (_, backend) in &wanted {
            may(backend)?;
        }
        let mut entries = self.lock();
        let key = |(endpoint, backend): &(String, Backend)| (endpoint.clone(), backend.url());
        let mut new: Vec<_> = wanted.iter().map(key).collect();
        new.sort_unstable();
        new.dedup();
        new.retain(|key| !entries.contains_key(key));
        if entries.len() + new.len() > self.most {
            return Err(BackendsError::TooMany(self.most));
        }
        let count = wanted.len();
        for (endpoint, backend) in wanted {
            let key = (endpoint, backend.url());
            if let Some(before) = entries.remove(&key) {
                before.remove();
            }
            let handle = backend.register(&self.scope(&key.0))?;
            entries.insert(key, handle);
        }
        Ok(count)
    }

    fn scope(&self, endpoint: &str) -> Scope {
        scope_of(&self.registry, &endpoint.split('.').collect::<Vec<_>>())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, BackendHandle>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackendsError {
    /// What a client who sent the entry is told.
    pub(in crate::exporter) fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::INSUFFICIENT_STORAGE,
            Self::Register(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The scope of these names: a namespace, which may be nested, a component and an endpoint, from the
/// end on as many as there are.
pub(in crate::exporter) fn scope_of(registry: &Registry, names: &[&str]) -> Scope {
    let below = |scope: Scope, name: &&str| scope.namespace(name);
    match names {
        [namespaces @ .., last, component, endpoint] => {
            let scope = namespaces.iter().chain([last]).fold((**registry).clone(), below);
            scope.component(component).endpoint(endpoint)
        }
        [namespace, component] => registry.namespace(namespace).component(component),
        names => names.iter().fold((**registry).clone(), below),
    }
}

fn read(text: &str) -> Result<Vec<(String, Backend)>, BackendsError> {
    let entries = text.split([',', '\n', '\r']).map(str::trim);
    entries.filter(|entry| !entry.is_empty()).map(read_one).collect()
}

fn read_one(entry: &str) -> Result<(String, Backend), BackendsError> {
    let syntax = || BackendsError::Syntax(excerpt(entry));
    let (endpoint, rest) = entry.split_once('=').ok_or_else(syntax)?;
    let endpoint = endpoint.trim();
    let is_name = |name: &str| name.chars().any(char::is_alphanumeric);
    if endpoint.len() > 256 || !endpoint.split('.').all(is_name) {
        return Err(syntax());
    }
    let wrong = |source| BackendsError::Backend { entry: excerpt(entry), source };
    let mut parts = rest.split(';');
    let mut backend = Backend::new(parts.next().unwrap_or_default()).map_err(wrong)?;
    for option in parts {
        let unknown = || BackendsError::Option(excerpt(option));
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let starts = || value.split('|').map(str::trim).filter(|start| !start.is_empty());
        backend = match name.trim() {
            "timeout" => backend.timeout(duration(value.trim()).ok_or_else(unknown)?),
            "prefix" => backend
                .prefix(value.trim())
                .checked()
                .map_err(|source| BackendsError::Prefix { entry: excerpt(entry), source })?,
            "only" => backend.only(starts()),
            "without" => backend.without(starts()),
            "honor_labels" if value.is_empty() => backend.honor_labels(),
            _ => return Err(unknown()),
        };
    }
    Ok((endpoint.to_owned(), backend))
}

/// A time of whole seconds or milliseconds.
fn duration(text: &str) -> Option<Duration> {
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|number| *number > 0);
    match text.strip_suffix("ms") {
        Some(digits) => Some(Duration::from_millis(number(digits)?.into())),
        None => Some(Duration::from_secs(number(text.strip_suffix('s')?)?.into())),
    }
}

/// The start of what was wrong, without anybody's name and password.
fn excerpt(text: &str) -> String {
    let shown = match text.rsplit_once('@') {
        Some((_, after)) => format!("..@{after}"),
        None => text.to_owned(),
    };
    shown.chars().take(EXCERPT).collect()
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

    #[test]
    fn a_path_names_a_scope_from_its_end() {
        let registry = Registry::new();
        for (path, labels) in [
            ("a", "dynamo_namespace=\"a\""),
            ("a.b", "dynamo_component=\"b\",dynamo_namespace=\"a\""),
            ("a.b.c", "dynamo_component=\"b\",dynamo_endpoint=\"c\",dynamo_namespace=\"a\""),
            ("x.a.b.c", "dynamo_component=\"b\",dynamo_endpoint=\"c\",dynamo_namespace=\"x_a\""),
        ] {
            let names: Vec<_> = path.split('.').collect();
            scope_of(&registry, &names).gauge("g", "").register().unwrap();
            let page = crate::encode::text(&registry);
            assert!(page.contains(&format!("{{{labels}}} 0")), "{path}: {page}");
        }
    }
}
