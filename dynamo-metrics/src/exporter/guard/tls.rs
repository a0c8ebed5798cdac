//! TLS: which certificate is shown, and which are asked for.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, version};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::client::{ClientVerifier, Sans};
use super::watch::{self, Now, Source};

/// Which certificates clients are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// None.
    #[default]
    NoClientCert,
    /// Any, if there is one. It shows that the client has its key, and nothing else.
    RequestClientCert,
    /// Any, but there has to be one.
    RequireAnyClientCert,
    /// One that an authority among [`TlsConfig::client_ca_file`] signed, if there is one.
    VerifyClientCertIfGiven,
    /// One that an authority among [`TlsConfig::client_ca_file`] signed. The only choice that keeps
    /// anybody out.
    RequireAndVerifyClientCert,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Why TLS cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is longer than 1 MiB.
    #[error("{} is longer than 1 MiB", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// There is none, neither as a file nor in place.
    #[error("missing one of {0} or {0}_file")]
    Missing(
        /// `cert` or `key`.
        &'static str,
    ),
    /// It is there as a file and in place.
    #[error("both {0} and {0}_file are given")]
    Both(
        /// `cert`, `key` or `client_ca`.
        &'static str,
    ),
    /// It is not in PEM, or not what it should be.
    #[error("no PEM of the right kind in {0}")]
    Pem(
        /// `cert`, `key` or `client_ca`.
        &'static str,
    ),
    /// No cipher suite of this name is there; the names are Go's.
    #[error("no cipher suite {0}")]
    CipherSuite(
        /// Its name.
        String,
    ),
    /// No curve of this name is there; the names are Go's.
    #[error("no curve {0}")]
    Curve(
        /// Its name.
        String,
    ),
    /// The lowest version is above the highest.
    #[error("min_version is above max_version")]
    Versions,
    /// There are authorities, and clients are asked for no certificate.
    #[error("client_ca without a client_auth_type")]
    ClientCaUnused,
    /// Certificates should be verified, and there is no authority to ask.
    #[error("client_auth_type needs a client_ca_file")]
    ClientCaMissing,
    /// Names are asked for where no certificate has to be.
    #[error("client_allowed_sans needs RequireAnyClientCert or RequireAndVerifyClientCert")]
    SansUnused,
    /// The certificate and the key do not belong together, or cannot be used.
    #[error("certificates, key and versions do not go together")]
    Config(
        /// What the implementation of TLS says.
        #[source]
        Box<dyn Error + Send + Sync>,
    ),
    /// The guard has TLS already, from its file.
    #[error("the guard has TLS from its file")]
    Twice,
}

/// How to speak TLS: a certificate, its key, and what clients have to show.
///
/// Files are read again when they change.
///
/// # Examples
/// ```no_run
/// use dynamo_metrics::exporter::{ClientAuth, Guard, TlsConfig};
///
/// let tls = TlsConfig::from_files("server.crt", "server.key")
///     .client_auth(ClientAuth::RequireAndVerifyClientCert)
///     .client_ca_file("clients.crt")
///     .client_allowed_sans(["prometheus.example.org"]);
/// let guard = Guard::open().with_tls(tls)?;
/// # Ok::<(), dynamo_metrics::exporter::TlsError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct TlsConfig {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) client_auth: ClientAuth,
    pub(super) client_allowed_sans: Option<Vec<String>>,
    pub(super) min_version: TlsVersion,
    pub(super) max_version: TlsVersion,
    pub(super) cipher_suites: Vec<String>,
    pub(super) curve_preferences: Vec<String>,
    pub(super) prefer_server_cipher_suites: bool,
    pub(super) http2: bool,
}

/// Something in PEM, or where it is.
#[derive(Clone)]
pub(super) enum Pem {
    Inline(Content),
    File(PathBuf),
}

pub(super) type Content = Arc<Zeroizing<Vec<u8>>>;

/// A configuration with what its files hold.
pub(super) struct Material {
    cert: Content,
    key: Content,
    client_ca: Option<Content>,
    config: TlsConfig,
}

impl ClientAuth {
    /// What there is to choose from.
    #[cfg(feature = "web-config")]
    pub(super) const NAMES: &str = "NoClientCert, RequestClientCert, RequireAnyClientCert, \
                                    VerifyClientCertIfGiven or RequireAndVerifyClientCert";

    #[cfg(feature = "web-config")]
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "" | "NoClientCert" => Self::NoClientCert,
            "RequestClientCert" => Self::RequestClientCert,
            // The shorter one is what the toolkit called it once.
            "RequireAnyClientCert" | "RequireClientCert" => Self::RequireAnyClientCert,
            "VerifyClientCertIfGiven" => Self::VerifyClientCertIfGiven,
            "RequireAndVerifyClientCert" => Self::RequireAndVerifyClientCert,
            _ => return None,
        })
    }

    fn is_required(self) -> bool {
        matches!(self, Self::RequireAnyClientCert | Self::RequireAndVerifyClientCert)
    }

    fn is_verified(self) -> bool {
        matches!(self, Self::VerifyClientCertIfGiven | Self::RequireAndVerifyClientCert)
    }
}

impl TlsConfig {
    /// Shows the certificates in the file `cert`, the server's own first; its key is in `key`.
    pub fn from_files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self::new(Pem::File(cert.into()), Pem::File(key.into()))
    }

    /// Shows the certificates in `cert`, the server's own first; its key is `key`; both are in PEM.
    pub fn from_pem(cert: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self::new(Pem::inline(cert), Pem::inline(key))
    }

    fn new(cert: Pem, key: Pem) -> Self {
        Self {
            cert,
            key,
            client_ca: None,
            client_auth: ClientAuth::NoClientCert,
            client_allowed_sans: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            curve_preferences: Vec::new(),
            prefer_server_cipher_suites: true,
            http2: true,
        }
    }

    /// Asks clients for certificates as `client_auth` says (default: for none).
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Believes the authorities in the file `client_ca_file`, in PEM (default: nobody).
    pub fn client_ca_file(mut self, client_ca_file: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(Pem::File(client_ca_file.into()));
        self
    }

    /// Lets in only clients whose certificate has one of these alternative names: DNS names, IP
    /// addresses, mail addresses or URIs, letter by letter (default: whatever they are called).
    pub fn client_allowed_sans<S: Into<String>>(
        mut self,
        client_allowed_sans: impl IntoIterator<Item = S>,
    ) -> Self {
        let sans = client_allowed_sans.into_iter().map(Into::into);
        self.client_allowed_sans = Some(sans.collect());
        self
    }

    /// Speaks no version below `min_version` (default: TLS 1.2).
    pub fn min_version(mut self, min_version: TlsVersion) -> Self {
        self.min_version = min_version;
        self
    }

    /// Speaks no version above `max_version` (default: TLS 1.3).
    pub fn max_version(mut self, max_version: TlsVersion) -> Self {
        self.max_version = max_version;
        self
    }

    /// What its files hold now.
    pub(super) fn load(&self) -> Result<Material, TlsError> {
        Ok(Material {
            cert: self.cert.load()?,
            key: self.key.load()?,
            client_ca: self.client_ca.as_ref().map(Pem::load).transpose()?,
            config: self.clone(),
        })
    }
}

impl Source for TlsConfig {
    type Settings = Material;
    type Value = TlsAcceptor;
    type Error = TlsError;

    fn read(&self) -> Result<Material, TlsError> {
        self.load()
    }

    fn build(&self, material: &Material, _: Option<&Now<Self>>) -> Result<TlsAcceptor, TlsError> {
        acceptor(material)
    }
}

impl Pem {
    pub(super) fn inline(text: impl Into<Vec<u8>>) -> Self {
        Self::Inline(Arc::new(Zeroizing::new(text.into())))
    }

    fn load(&self) -> Result<Content, TlsError> {
        match self {
            Self::Inline(content) => Ok(content.clone()),
            Self::File(path) => watch::read(path)
                .map_err(|source| TlsError::Read { path: path.clone(), source })?
                .map(Arc::new)
                .ok_or_else(|| TlsError::TooLong { path: path.clone() }),
        }
    }
}

impl PartialEq for Material {
    fn eq(&self, other: &Self) -> bool {
        // Where something comes from does not matter, so that certificates may move.
        let choices = |config: &TlsConfig| {
            (
                (config.client_auth, config.min_version, config.max_version, config.http2),
                (config.cipher_suites.clone(), config.curve_preferences.clone()),
                (config.client_allowed_sans.clone(), config.prefer_server_cipher_suites),
            )
        };
        (&self.cert, &self.key, &self.client_ca) == (&other.cert, &other.key, &other.client_ca)
            && choices(&self.config) == choices(&other.config)
    }
}

impl std::fmt::Debug for Pem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // One of them is the key.
            Self::Inline(_) => f.write_str("Inline"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// What takes connections in.
pub(super) fn acceptor(material: &Material) -> Result<TlsAcceptor, TlsError> {
    let Material { config, .. } = material;
    let unfit = |error: rustls::Error| TlsError::Config(Box::new(error));
    if config.min_version > config.max_version {
        return Err(TlsError::Versions);
    }
    let versions = [(TlsVersion::Tls13, &version::TLS13), (TlsVersion::Tls12, &version::TLS12)];
    let versions: Vec<_> = versions
        .into_iter()
        .filter(|(version, _)| (config.min_version..=config.max_version).contains(version))
        .map(|(_, version)| version)
        .collect();
    let provider = Arc::new(provider(config)?);
    let certs = certificates(&material.cert, "cert")?;
    let key = PrivateKeyDer::from_pem_slice(&material.key).map_err(|_| TlsError::Pem("key"))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(unfit)?;
    let builder = match verifier(material, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(certs, key).map_err(unfit)?;
    server.ignore_client_order = config.prefer_server_cipher_suites;
    if config.http2 {
        server.alpn_protocols.push(b"h2".to_vec());
    }
    server.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(server).into())
}

/// The cipher suites and curves that were chosen.
fn provider(config: &TlsConfig) -> Result<CryptoProvider, TlsError> {
    let mut provider = rustls::crypto::ring::default_provider();
    if !config.cipher_suites.is_empty() {
        let mut chosen = Vec::new();
        for name in &config.cipher_suites {
            let suite = provider.cipher_suites.iter().find(|suite| has_name(suite, name));
            chosen.push(*suite.ok_or_else(|| TlsError::CipherSuite(shown(name)))?);
        }
        // As in Go, nobody chooses among those of TLS 1.3.
        let tls13 = |suite: &SupportedCipherSuite| suite.version() == &version::TLS13;
        chosen.retain(|suite| !tls13(suite));
        provider.cipher_suites.retain(tls13);
        provider.cipher_suites.extend(chosen);
    }
    if !config.curve_preferences.is_empty() {
        let mut chosen = Vec::new();
        for name in &config.curve_preferences {
            let group = match name.as_str() {
                "X25519" => NamedGroup::X25519,
                "CurveP256" => NamedGroup::secp256r1,
                "CurveP384" => NamedGroup::secp384r1,
                _ => return Err(TlsError::Curve(shown(name))),
            };
            let mut groups = provider.kx_groups.iter();
            let found = groups.find(|known| known.name() == group);
            chosen.push(*found.ok_or_else(|| TlsError::Curve(shown(name)))?);
        }
        provider.kx_groups = chosen;
    }
    Ok(provider)
}

/// Whether Go calls `suite` so: without the 13 that rustls puts behind TLS.
fn has_name(suite: &SupportedCipherSuite, name: &str) -> bool {
    suite.suite().as_str().is_some_and(|own| own.replace("TLS13_", "TLS_") == name)
}

/// A name as errors show it.
fn shown(name: &str) -> String {
    name.chars().filter(char::is_ascii_graphic).take(64).collect()
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certs = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    certs.ok().filter(|certs| !certs.is_empty()).ok_or(TlsError::Pem(what))
}

fn verifier(
    material: &Material,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<ClientVerifier>, TlsError> {
    let Material { config, client_ca, .. } = material;
    let auth = config.client_auth;
    if config.client_allowed_sans.is_some() && !auth.is_required() {
        return Err(TlsError::SansUnused);
    }
    if auth == ClientAuth::NoClientCert {
        return if client_ca.is_some() { Err(TlsError::ClientCaUnused) } else { Ok(None) };
    }
    let authorities = match client_ca {
        Some(pem) => certificates(pem, "client_ca")?,
        None => Vec::new(),
    };
    let inner = if auth.is_verified() {
        if authorities.is_empty() {
            return Err(TlsError::ClientCaMissing);
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|_| TlsError::Pem("client_ca"))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        Some(builder.build().map_err(|error| TlsError::Config(Box::new(error)))?)
    } else {
        None
    };
    Ok(Some(ClientVerifier {
        inner,
        is_required: auth.is_required(),
        sans: config.client_allowed_sans.clone().map(Sans::new),
        algorithms: provider.signature_verification_algorithms,
    }))
}
