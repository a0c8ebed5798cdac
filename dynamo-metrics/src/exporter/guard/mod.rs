//! Who may come in at the exporter's door.

#[cfg(feature = "tls")]
mod client;
mod credentials;
#[cfg(feature = "web-config")]
mod hash;
#[cfg(feature = "web-config")]
mod rate;
mod refusal;
#[cfg(feature = "tls")]
mod san;
#[cfg(feature = "web-config")]
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "web-config")]
mod users;
#[cfg(any(feature = "tls", feature = "web-config"))]
mod watch;
#[cfg(feature = "web-config")]
mod web_config;
#[cfg(feature = "web-config")]
mod yaml;

pub use credentials::CredentialsError;
pub use refusal::Refusal;
#[cfg(feature = "tls")]
pub use tls::{ClientAuth, TlsConfig, TlsError, TlsVersion};
#[cfg(feature = "web-config")]
pub use web_config::WebConfigError;

use std::fmt;
#[cfg(feature = "web-config")]
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;

use credentials::Token;
use refusal::Challenge;
#[cfg(feature = "web-config")]
use users::Users;
#[cfg(any(feature = "tls", feature = "web-config"))]
use watch::Watched;
#[cfg(feature = "web-config")]
use web_config::WebFile;

/// Decides who may see what an exporter shows. Clones are cheap, and share what they remember.
///
/// | made by | who comes in |
/// |---|---|
/// | [`open`](Self::open) | everybody |
/// | [`bearer`](Self::bearer) | who has the token |
/// | `basic` (feature `web-config`) | users with their passwords |
/// | `from_file` (feature `web-config`) | whom a [web configuration file] lets in |
///
/// With the feature `tls`, `with_tls` adds encryption and certificates, if the file does not.
///
/// Secrets are not in its `Debug`, in errors, or in what is logged.
///
/// [web configuration file]:
///     https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
///
/// # Examples
/// ```
/// use dynamo_metrics::exporter::Guard;
/// use http::{HeaderMap, header::AUTHORIZATION};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let guard = Guard::bearer("s3cret")?;
/// let mut headers = HeaderMap::new();
/// assert_eq!(guard.admit(&headers).await.unwrap_err().status(), 401);
/// headers.insert(AUTHORIZATION, "Bearer s3cret".parse().unwrap());
/// assert!(guard.admit(&headers).await.is_ok());
/// # Ok::<(), dynamo_metrics::exporter::CredentialsError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Guard {
    who: Arc<Who>,
    #[cfg(feature = "tls")]
    tls: Option<Arc<Watched<TlsConfig>>>,
}

enum Who {
    Anybody,
    Bearer(Token),
    #[cfg(feature = "web-config")]
    Basic(Users),
    #[cfg(feature = "web-config")]
    File(Watched<WebFile>),
}

impl Guard {
    /// Lets everybody in.
    #[must_use]
    pub fn open() -> Self {
        Self::new(Who::Anybody)
    }

    /// Lets in who shows `token`, as `Authorization: Bearer <token>`.
    ///
    /// # Errors
    /// [`CredentialsError::Token`] if no header can carry it.
    pub fn bearer(token: &str) -> Result<Self, CredentialsError> {
        Ok(Self::new(Who::Bearer(Token::new(token)?)))
    }

    /// Lets in users with their passwords, of which there are bcrypt hashes, as `htpasswd -B` writes
    /// them.
    ///
    /// # Cost
    /// One hash for each user, which is slow on purpose, and one for each wrong password; they are
    /// computed one at a time, on a thread that may block. When 64 wait, more are answered with 429.
    ///
    /// # Errors
    /// [`CredentialsError::NoUsers`], [`Name`](CredentialsError::Name) or
    /// [`Hash`](CredentialsError::Hash).
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::exporter::Guard;
    ///
    /// let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    /// assert!(Guard::basic([("prometheus", hash)]).is_ok());
    /// assert!(Guard::basic([("prometheus", "a password")]).is_err());
    /// ```
    #[cfg(feature = "web-config")]
    pub fn basic<U: AsRef<str>, H: AsRef<str>>(
        users: impl IntoIterator<Item = (U, H)>,
    ) -> Result<Self, CredentialsError> {
        Ok(Self::new(Who::Basic(Users::parse(users)?)))
    }

    /// Does what a web configuration file says, in the form that Prometheus and its exporters have.
    ///
    /// The file, and those that it names, are read again when they change; they are looked at when
    /// a request comes, once a second at most. While they are wrong, all requests are answered with
    /// 500, and connections are taken in as before. Users may come and go; TLS cannot be switched on
    /// or off, nor authentication off, while the process runs: a file that is half written looks
    /// like that.
    ///
    /// | section | what is different from the toolkit |
    /// |---|---|
    /// | `basic_auth_users` | costs above 18 are errors; wrong passwords are not remembered |
    /// | `tls_server_config` | needs the feature `tls`; names of what rustls lacks are errors; to verify needs a `client_ca` |
    /// | `http_server_config` | nothing |
    /// | `rate_limit` | who has not shown who it is counts apart |
    ///
    /// It reads files, and so blocks for a moment.
    ///
    /// # Errors
    /// [`WebConfigError`], by what is wrong with the file.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::exporter::{Guard, WebConfigError};
    ///
    /// # let folder = std::env::temp_dir().join(format!("guard-doc-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// let path = folder.join("web.yml");
    /// std::fs::write(&path, "http_server_config:\n  headers:\n    X-Frame-Options: deny\n").unwrap();
    /// assert!(Guard::from_file(&path).is_ok());
    ///
    /// std::fs::write(&path, "basic_auth_user:\n  ann: x\n").unwrap();
    /// let error = Guard::from_file(&path).unwrap_err();
    /// assert_eq!(error.to_string(), "unknown key basic_auth_user (line 2)");
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// ```
    #[cfg(feature = "web-config")]
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, WebConfigError> {
        Ok(Self::new(Who::File(Watched::new(WebFile(path.into()))?)))
    }

    /// Speaks TLS as `tls` says. Its files are read now, and again when they change, as those of
    /// `from_file` are.
    ///
    /// # Errors
    /// [`TlsError`], by what is wrong with it.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: TlsConfig) -> Result<Self, TlsError> {
        #[cfg(feature = "web-config")]
        if let Who::File(file) = &*self.who
            && file.last().value.tls.is_some()
        {
            return Err(TlsError::Twice);
        }
        self.tls = Some(Arc::new(Watched::new(tls)?));
        Ok(self)
    }

    fn new(who: Who) -> Self {
        Self {
            who: Arc::new(who),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Whether a request with these headers may come in.
    ///
    /// # Errors
    /// [`Refusal`], which has the answer.
    #[cfg_attr(
        not(any(feature = "tls", feature = "web-config")),
        expect(clippy::unused_async, reason = "a token is compared at once, all else takes time")
    )]
    pub async fn admit(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls
            && tls.now().await.is_broken()
        {
            return Err(Refusal::broken());
        }
        match &*self.who {
            Who::Anybody => Ok(()),
            Who::Bearer(token) if token.is_shown(headers) => Ok(()),
            Who::Bearer(_) => Err(Refusal::unauthorized(Challenge::Bearer)),
            #[cfg(feature = "web-config")]
            Who::Basic(users) => users.admit(headers, None).await,
            #[cfg(feature = "web-config")]
            Who::File(file) => {
                let now = file.now().await;
                if now.is_broken() {
                    return Err(Refusal::broken());
                }
                let limit = now.value.limit.as_deref();
                if let Some(users) = &now.value.users {
                    users.admit(headers, limit).await?;
                }
                match limit {
                    Some(limit) if !limit.admit() => Err(Refusal::too_many()),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Adds the headers that a web configuration file wants on every answer, refusals too.
    ///
    /// # Examples
    /// ```
    /// let mut response = http::Response::new(());
    /// dynamo_metrics::exporter::Guard::open().decorate(response.headers_mut());
    /// assert!(response.headers().is_empty());
    /// ```
    pub fn decorate(&self, headers: &mut HeaderMap) {
        match &*self.who {
            #[cfg(feature = "web-config")]
            Who::File(file) => {
                for (name, value) in &file.last().value.headers {
                    headers.insert(name, value.clone());
                }
            }
            _ => {
                let _ = headers;
            }
        }
    }

    /// Whether the guard speaks TLS. It always does, or never.
    #[cfg(feature = "tls")]
    pub(super) fn has_tls(&self) -> bool {
        let in_file = match &*self.who {
            #[cfg(feature = "web-config")]
            Who::File(file) => file.last().value.tls.is_some(),
            _ => false,
        };
        self.tls.is_some() || in_file
    }

    /// What takes a new connection in, if the guard speaks TLS. It always does, or never.
    ///
    /// While files are wrong, it is what they last were: then requests can be answered with 500.
    /// Connections that are there keep what they came in with.
    #[doc(hidden)]
    #[cfg(feature = "tls")]
    pub async fn acceptor(&self) -> Option<tokio_rustls::TlsAcceptor> {
        if let Some(tls) = &self.tls {
            return Some((*tls.now().await.value).clone());
        }
        match &*self.who {
            #[cfg(feature = "web-config")]
            Who::File(file) => file.now().await.value.tls.clone(),
            _ => None,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Guard");
        shown.field("who", &self.who);
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls.is_some());
        shown.finish()
    }
}

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Kinds only: all that they hold is secret, or near it.
        f.write_str(match self {
            Self::Anybody => "Anybody",
            Self::Bearer(_) => "Bearer",
            #[cfg(feature = "web-config")]
            Self::Basic(_) => "Basic",
            #[cfg(feature = "web-config")]
            Self::File(_) => "File",
        })
    }
}

/// Runs `work` where it may block. `None` if the runtime ends meanwhile.
#[cfg(any(feature = "tls", feature = "web-config"))]
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.ok(),
        // Somebody polls us by hand.
        Err(_) => Some(work()),
    }
}

/// A bcrypt hash that costs little.
#[cfg(all(test, feature = "web-config"))]
fn hash_for_tests(password: &str) -> String {
    hash::PasswordHash::write_for_tests(password)
}
