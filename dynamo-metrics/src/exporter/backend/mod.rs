//! Backends: other processes' metrics, fetched at each scrape and merged with ours.

mod entry;
mod fetch;
mod list;
mod meters;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, InvalidUri, Scheme};
use tokio::sync::Semaphore;

pub(super) use entry::is_name;
pub use list::{Backends, BackendsError};

pub(super) use meters::INFO;

use fetch::FetchStatus;
use meters::Meters;

use crate::clock;
use crate::foreign::{Filter, Limits};
use crate::name::{NameError, metric_name};
use crate::registry::{
    Answer, Ask, CollectorHandle, Later, RegisterError, Registry, SameLabel, Scope, SourceKind,
};

/// Longest time for an answer, unless the backend is told otherwise: half of what Prometheus waits.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is left of a scrape's time for the others when it gives up on a backend.
const MARGIN: Duration = Duration::from_millis(100);

/// Another process's page of metrics, at an address.
///
/// Once it is [registered](Self::register) in a scope, the exporter fetches it at each scrape, checks
/// it, adds the scope's labels, and shows it merged with ours. The page may be text, OpenMetrics or
/// protobuf. A backend that hangs, lies, is gone or has too much to say costs its own series and none
/// of ours; where two of them disagree about a name, the one that was registered first is believed.
/// Exporters that are each other's backends are asked for what is their own. What is told of it, with its address as the label `backend`:
///
/// | metric | |
/// |---|---|
/// | `dynamo_metrics_backend_up` | 1 if the last fetch gave a page, else 0 |
/// | `dynamo_metrics_backend_scrape_duration_seconds` | how long the last fetch took |
/// | `dynamo_metrics_backend_scrape_samples` | series in its page that could be used |
/// | `dynamo_metrics_backend_error` | what was wrong with the last fetch, as a state set: `none`; `connect`, `timeout`; `broken`, if it is no HTTP or ends in the middle; `status`, if that is not 200; `content_type`, if it is no page of metrics or encoded; `size` |
///
/// # Examples
/// ```
/// use dynamo_metrics::{exporter::Backend, registry::Registry};
///
/// let registry = Registry::new();
/// let engine = registry.namespace("prod").component("backend").endpoint("generate");
/// Backend::new("http://127.0.0.1:8000/metrics")?.only(["vllm:"]).register(&engine)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Backend {
    target: Uri,
    timeout: Duration,
    limits: Limits,
    /// As it was given: none of it is checked.
    prefix: Option<String>,
    filter: Filter,
    labels: SameLabel,
    lookup: Arc<Semaphore>,
}

/// A backend that is registered.
#[derive(Debug, Clone)]
pub struct BackendHandle {
    page: CollectorHandle,
    meters: CollectorHandle,
}

/// Why an address is none of a backend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// It is no URL.
    #[error("the address is no URL")]
    Address(#[from] InvalidUri),
    /// Only `http://` is fetched.
    #[error("the address does not start with http://")]
    Scheme,
    /// There is no host in it, or somebody's name before the host.
    #[error("the address has no host, or more than a host and a port")]
    Host,
    /// The port is none.
    #[error("the port is no number from 1 to 65535")]
    Port,
}

impl Backend {
    /// The page at `address`, such as `http://127.0.0.1:8000/metrics`; the path is `/metrics` if it
    /// has none.
    ///
    /// # Errors
    /// [`BackendError`], if there cannot be a page.
    pub fn new(address: &str) -> Result<Self, BackendError> {
        let given: Uri = address.trim().parse()?;
        if given.scheme() != Some(&Scheme::HTTP) {
            return Err(BackendError::Scheme);
        }
        let authority = given.authority().ok_or(BackendError::Host)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(BackendError::Host);
        }
        // What is no port would be left out of it, and the fetch go to another one.
        let port = match authority.as_str().strip_prefix(host).unwrap_or_default() {
            "" => String::new(),
            port => format!(":{}", port_of(port).ok_or(BackendError::Port)?),
        };
        let path = if given.path() == "/" { "/metrics" } else { given.path() };
        let query = given.query().map(|query| format!("?{query}")).unwrap_or_default();
        // Hosts are the same in any case.
        let target = format!("http://{}{port}{path}{query}", host.to_ascii_lowercase()).parse()?;
        Ok(Self {
            target,
            timeout: TIMEOUT,
            limits: Limits::default(),
            prefix: None,
            filter: Filter::default(),
            labels: SameLabel::Renamed,
            lookup: Arc::new(Semaphore::new(1)),
        })
    }

    /// Waits so long for the page, and never longer than the scrape may (default: 5 s).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads and keeps so much of the page (default: 16 MiB, 100 000 series; see [`Limits`]).
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Puts `prefix` and a `_` before its names (default: nothing).
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.to_owned());
        self
    }

    /// Shows only families whose names, before the prefix, start so (default: all).
    #[must_use]
    pub fn only<S: Into<String>>(mut self, starts: impl IntoIterator<Item = S>) -> Self {
        self.filter.only = starts.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves out families whose names, before the prefix, start so (default: none).
    #[must_use]
    pub fn without<S: Into<String>>(mut self, starts: impl IntoIterator<Item = S>) -> Self {
        self.filter.without = starts.into_iter().map(Into::into).collect();
        self
    }

    /// Lets its labels count where the scope has some of the same names (default: the scope's
    /// count, and the backend's become `exported_..`, as Prometheus has it).
    #[must_use]
    pub fn honor_labels(mut self) -> Self {
        self.labels = SameLabel::Theirs;
        self
    }

    /// Fetches it at each scrape from now on, until `scope` is removed or the handle's
    /// [`remove`](BackendHandle::remove) is called.
    ///
    /// # Errors
    /// [`RegisterError::Name`], if the prefix makes no name; [`RegisterError::ScopeRemoved`], if the
    /// scope was removed already.
    pub fn register(self, scope: &Scope) -> Result<BackendHandle, RegisterError> {
        let same_label = self.labels;
        let (meters, page) = self.checked()?.asks();
        let kind = SourceKind::Backend;
        let page = scope.add_source(kind, same_label, page);
        let meters = scope.add_source(kind, SameLabel::Renamed, meters);
        let (page, meters) = page.zip(meters).ok_or(RegisterError::ScopeRemoved)?;
        Ok(BackendHandle { page, meters })
    }

    /// The same, under the labels of a namespace, a component and an endpoint of `registry`.
    fn register_for(self, registry: &Registry, names: &[&str]) -> BackendHandle {
        let same_label = self.labels;
        let (meters, page) = self.asks();
        let kind = SourceKind::Backend;
        let page = registry.add_source_for(names, kind, same_label, page);
        let meters = registry.add_source_for(names, kind, SameLabel::Renamed, meters);
        BackendHandle { page, meters }
    }

    /// What is told of it, and what it tells.
    fn asks(self) -> (Ask, Ask) {
        let meters = Arc::new(Meters::new(self.address()));
        let (told, backend) = (Arc::clone(&meters), Arc::new(self));
        let page = move |patience| -> Later {
            let (backend, meters) = (Arc::clone(&backend), Arc::clone(&told));
            Box::pin(async move { backend.ask(patience, &meters).await })
        };
        (Ask::Kept(Box::new(move || meters.answer())), Ask::Later(Box::new(page)))
    }

    /// Where it is, as its label has it: host, port and path, without a query, which may hold a
    /// secret.
    #[must_use]
    pub fn address(&self) -> String {
        let authority = self.target.authority().map(Authority::as_str).unwrap_or_default();
        format!("{authority}{}", self.target.path())
    }

    /// With a prefix that can be one.
    fn checked(mut self) -> Result<Self, NameError> {
        if let Some(prefix) = &self.prefix {
            let prefix = metric_name(prefix.trim_end_matches('_'))?;
            self.filter.prefix = Some(format!("{prefix}_"));
        }
        Ok(self)
    }

    /// Where it is, the query included.
    fn url(&self) -> String {
        self.target.to_string()
    }

    /// Whose host it is.
    pub(super) fn host(&self) -> &str {
        self.target.host().unwrap_or_default()
    }

    async fn ask(&self, patience: Duration, meters: &Meters) -> Answer {
        // Soon enough for the scrape to learn what was wrong.
        let patience = self.timeout.min(patience.saturating_sub(MARGIN.min(patience / 20)));
        let start = clock::now();
        let fetched = fetch::fetch(&self.target, patience, (&self.limits, &self.lookup)).await;
        let took = start.elapsed();
        match fetched {
            Ok(mut parsed) => {
                let mut answer = Answer::default();
                self.filter.apply(&mut parsed.families);
                answer.take(parsed);
                let series = answer.families.iter().map(|family| family.series.len()).sum();
                meters.up(took, series);
                answer
            }
            Err(error) => {
                meters.down(took, error.fault());
                Answer::trouble(error.fault().as_reason(), format!("{}: {error}", self.address()))
            }
        }
    }
}

impl BackendHandle {
    /// Fetches it no longer, and tells nothing of it any more.
    pub fn remove(&self) {
        self.page.remove();
        self.meters.remove();
    }
}

/// The port that a `:` stands before.
fn port_of(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':').filter(|text| text.bytes().all(|it| it.is_ascii_digit()));
    digits?.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_of_a_page() {
        for (address, told) in [
            ("http://127.0.0.1:8000/metrics", "127.0.0.1:8000/metrics"),
            ("http://engine:80", "engine:80/metrics"),
            ("http://engine/", "engine/metrics"),
            ("http://[::1]:9/a?token=secret", "[::1]:9/a"),
        ] {
            assert_eq!(Backend::new(address).unwrap().address(), told);
        }
        for address in
            ["", "engine:80", "https://engine", "http://", "http://user:secret@engine/", "/metrics"]
        {
            assert!(Backend::new(address).is_err(), "{address}");
        }
        let prefix = |prefix| Backend::new("http://a").unwrap().prefix(prefix).checked();
        assert!(prefix("engine_").is_ok() && prefix("").is_err());
    }
}
