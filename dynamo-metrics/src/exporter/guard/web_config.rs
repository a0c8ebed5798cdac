//! The web configuration file of Prometheus's exporters, and what comes of it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS, X_XSS_PROTECTION,
};

use super::hash::PasswordHash;
use super::rate::{Limit, Rate};
#[cfg(feature = "tls")]
use super::tls::{self, Material, TlsConfig, TlsError};
use super::users::Users;
use super::watch::{self, Now, Source};
use super::yaml::{self, Map, Value};

/// Headers that may be set, and what they may be set to; nothing said is anything.
const HEADERS: [(&str, HeaderName, &[&str], &str); 5] = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY, &[], "the value of a header"),
    ("X-Frame-Options", X_FRAME_OPTIONS, &["deny", "sameorigin"], "deny or sameorigin"),
    ("X-Content-Type-Options", X_CONTENT_TYPE_OPTIONS, &["nosniff"], "nosniff"),
    ("X-XSS-Protection", X_XSS_PROTECTION, &[], "the value of a header"),
    ("Strict-Transport-Security", STRICT_TRANSPORT_SECURITY, &[], "the value of a header"),
];

/// Why a web configuration file cannot be used.
///
/// It names keys, lines and paths, and never what stands there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is longer than 1 MiB.
    #[error("{} is longer than 1 MiB", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// The file is not UTF-8.
    #[error("file is not UTF-8")]
    Utf8,
    /// Nothing is in the file: most likely it is being written.
    #[error("file says nothing")]
    Empty,
    /// The file is no YAML, or is nested too deeply, or holds several documents.
    #[error("no valid YAML at line {line}, column {column}")]
    Yaml {
        /// Where it goes wrong, from 1.
        line: usize,
        /// Where in the line, from 1.
        column: usize,
    },
    /// The file has an alias of YAML, which can make a small file large.
    #[error("aliases are not known (line {line})")]
    Alias {
        /// Where it is.
        line: usize,
    },
    /// Nobody knows the key.
    #[error("unknown key {key} (line {line})")]
    UnknownKey {
        /// The key, behind those of the sections that it is in.
        key: String,
        /// Where it is.
        line: usize,
    },
    /// The key is there twice.
    #[error("repeated key {key} (line {line})")]
    RepeatedKey {
        /// The key, behind those of the sections that it is in.
        key: String,
        /// Where it is for the second time.
        line: usize,
    },
    /// The key has a value that it cannot have.
    #[error("{key} must be {expected} (line {line})")]
    Value {
        /// The key, behind those of the sections that it is in.
        key: String,
        /// What it should have.
        expected: &'static str,
        /// Where it is.
        line: usize,
    },
    /// What should be a bcrypt hash is something else, or costs more than 18.
    #[error("no bcrypt hash of cost 4 to 18 (line {line})")]
    Hash {
        /// Where it is.
        line: usize,
    },
    /// TLS was switched on or off while the process runs, or authentication off.
    #[error("{0} cannot be switched while the process runs")]
    Switched(
        /// What it was.
        &'static str,
    ),
    /// The file asks for TLS, and this program was built without.
    #[error("tls_server_config needs the feature `tls`")]
    NoTls,
    /// TLS cannot be had as the file says.
    #[cfg(feature = "tls")]
    #[error("tls_server_config cannot be used")]
    Tls(#[from] TlsError),
}

/// What the file holds.
#[derive(PartialEq)]
pub(super) struct Settings {
    users: Vec<(String, PasswordHash)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate: Option<Rate>,
    #[cfg(feature = "tls")]
    tls: Option<Material>,
}

/// What is made of it.
pub(super) struct WebConfig {
    pub(super) users: Option<Users>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) limit: Option<Arc<Limit>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
}

pub(super) struct WebFile(pub(super) PathBuf);

impl Source for WebFile {
    type Settings = Settings;
    type Value = WebConfig;
    type Error = WebConfigError;

    fn read(&self) -> Result<Settings, WebConfigError> {
        let path = || self.0.clone();
        let content = watch::read(&self.0)
            .map_err(|source| WebConfigError::Read { path: path(), source })?
            .ok_or_else(|| WebConfigError::TooLong { path: path() })?;
        let text = std::str::from_utf8(&content).map_err(|_| WebConfigError::Utf8)?;
        read(text, self.0.parent().unwrap_or(Path::new("")))
    }

    fn build(
        &self,
        settings: &Settings,
        before: Option<&Now<Self>>,
    ) -> Result<WebConfig, WebConfigError> {
        let before = before.map(|before| &*before.value);
        // A file that is half written looks like one that asks for less.
        if settings.users.is_empty() && before.is_some_and(|before| before.users.is_some()) {
            return Err(WebConfigError::Switched("authentication"));
        }
        let users = settings.users.iter().map(|(name, hash)| (name.as_str(), *hash));
        let known = before.and_then(|before| before.users.as_ref());
        let users = if settings.users.is_empty() {
            None
        } else {
            // Names are checked where they are read, so that this cannot fail.
            Some(Users::new(users, known).map_err(|_| WebConfigError::Empty)?)
        };
        #[cfg(feature = "tls")]
        let tls = {
            if before.is_some_and(|before| before.tls.is_some() != settings.tls.is_some()) {
                return Err(WebConfigError::Switched("TLS"));
            }
            settings.tls.as_ref().map(tls::acceptor).transpose()?
        };
        let limit = settings.rate.map(|rate| {
            let same =
                before.and_then(|before| before.limit.as_ref()).filter(|limit| limit.rate == rate);
            same.map_or_else(|| Arc::new(Limit::new(rate)), Arc::clone)
        });
        Ok(WebConfig {
            users,
            headers: settings.headers.clone(),
            limit,
            #[cfg(feature = "tls")]
            tls,
        })
    }
}

/// Reads a file that lies in `folder`.
fn read(text: &str, folder: &Path) -> Result<Settings, WebConfigError> {
    let document = yaml::parse(text)?;
    let Value::Map(mut map) = document.value else {
        return Err(match document.value {
            Value::Null => WebConfigError::Empty,
            _ => WebConfigError::Yaml { line: document.line, column: 1 },
        });
    };
    let users = map.section("basic_auth_users")?;
    let mut http = map.section("http_server_config")?;
    let rate = map.section("rate_limit")?;
    let tls = map.section("tls_server_config")?;
    map.end()?;
    let http2 = http.flag("http2")?.unwrap_or(true);
    let headers = headers(http.section("headers")?)?;
    http.end()?;
    #[cfg(not(feature = "tls"))]
    if !tls.entries.is_empty() {
        return Err(WebConfigError::NoTls);
    }
    #[cfg(not(feature = "tls"))]
    let _ = (http2, folder);
    Ok(Settings {
        users: self::users(&users)?,
        headers,
        rate: self::rate(rate)?,
        #[cfg(feature = "tls")]
        tls: self::tls(tls, folder, http2)?,
    })
}

fn users(map: &Map) -> Result<Vec<(String, PasswordHash)>, WebConfigError> {
    let mut users = Vec::new();
    for (name, node) in &map.entries {
        if name.contains(':') {
            return Err(map.wrong(name, "under a name without a colon", node.line));
        }
        let hash = match &node.value {
            Value::Text(text) => PasswordHash::parse(text),
            _ => None,
        };
        let hash = hash.ok_or(WebConfigError::Hash { line: node.line })?;
        users.push((name.clone(), hash));
    }
    Ok(users)
}

fn headers(mut map: Map) -> Result<Vec<(HeaderName, HeaderValue)>, WebConfigError> {
    let mut headers = Vec::new();
    for (key, name, values, expected) in HEADERS {
        let value = map.read(key, expected, |text| {
            let fits = values.is_empty() || values.contains(&text) || text.is_empty();
            HeaderValue::from_str(text).ok().filter(|_| fits)
        })?;
        // What is blank is not set.
        let value = value.filter(|value| !value.is_empty());
        headers.extend(value.map(|value| (name, value)));
    }
    map.end()?;
    Ok(headers)
}

fn rate(mut map: Map) -> Result<Option<Rate>, WebConfigError> {
    let line = map.entries.first().map_or(0, |(_, node)| node.line);
    let interval = map.read("interval", "a duration, such as 1s", duration)?;
    let burst = map.read("burst", "a number from 1", |text| {
        text.parse().ok().filter(|&burst: &u32| burst > 0)
    })?;
    let rate = match (interval, burst) {
        // As for the toolkit, no interval is no limit.
        (None | Some(Duration::ZERO), _) => None,
        (Some(interval), Some(burst)) => Some(Rate { interval, burst }),
        // And nobody would come in.
        (Some(_), None) => return Err(map.wrong("burst", "a number from 1", line)),
    };
    map.end()?;
    Ok(rate)
}

/// A duration in Go's form: `1s`, `1m30s`, `0.5s`.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
        ("h", 3600.0),
    ];
    let mut rest = text;
    let mut seconds = 0.0;
    if text == "0" {
        return Some(Duration::ZERO);
    }
    while !rest.is_empty() || text.is_empty() {
        let digits = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !digits(c))?);
        let (unit, after) = after.split_at(after.find(digits).unwrap_or(after.len()));
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * size;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| duration.as_secs() <= 86_400)
}

#[cfg(feature = "tls")]
fn tls(mut map: Map, folder: &Path, http2: bool) -> Result<Option<Material>, WebConfigError> {
    use super::tls::{ClientAuth, Pem, TlsVersion};

    let mut pem = |inline: &'static str, file: &'static str| {
        let (text, path) = (map.text(inline)?, map.text(file)?);
        let (text, path) = (text.filter(|t| !t.is_empty()), path.filter(|p| !p.is_empty()));
        Ok::<_, WebConfigError>(match (text, path) {
            (Some(_), Some(_)) => return Err(TlsError::Both(inline).into()),
            (Some(text), None) => Some(Pem::inline(text)),
            (None, Some(path)) => Some(Pem::File(folder.join(path))),
            (None, None) => None,
        })
    };
    let (cert, key) = (pem("cert", "cert_file")?, pem("key", "key_file")?);
    let client_ca = pem("client_ca", "client_ca_file")?;
    let version = |text: &str| match text {
        "TLS12" => Some(TlsVersion::Tls12),
        "TLS13" => Some(TlsVersion::Tls13),
        _ => None,
    };
    let auth = map.read("client_auth_type", ClientAuth::NAMES, ClientAuth::parse)?;
    let sans = map.list("client_allowed_sans")?;
    let min = map.read("min_version", "TLS12 or TLS13", version)?;
    let max = map.read("max_version", "TLS12 or TLS13", version)?;
    let suites = map.list("cipher_suites")?;
    let curves = map.list("curve_preferences")?;
    let prefer = map.flag("prefer_server_cipher_suites")?;
    map.end()?;
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) if client_ca.is_none() && auth.is_none() && sans.is_none() => return Ok(None),
        (None, _) => return Err(TlsError::Missing("cert").into()),
        (_, None) => return Err(TlsError::Missing("key").into()),
    };
    let config = TlsConfig {
        cert,
        key,
        client_ca,
        client_auth: auth.unwrap_or_default(),
        client_allowed_sans: sans,
        min_version: min.unwrap_or(TlsVersion::Tls12),
        max_version: max.unwrap_or(TlsVersion::Tls13),
        cipher_suites: suites.unwrap_or_default(),
        curve_preferences: curves.unwrap_or_default(),
        prefer_server_cipher_suites: prefer.unwrap_or(true),
        http2,
    };
    Ok(Some(config.load()?))
}
