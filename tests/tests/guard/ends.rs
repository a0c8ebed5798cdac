//! Both ends of a guarded connection, and the certificates that they show each other.

use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dynamo_metrics::clock::Manual;
use dynamo_metrics::exporter::{Guard, TlsConfig, WebConfigError};
use http::{HeaderMap, HeaderName, HeaderValue};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Certificates in a folder, which goes with the test.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) authority: Issuer,
}

/// A certificate and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) cert: String,
    pub(crate) key: String,
}

/// How a client comes.
#[derive(Default, Clone)]
pub(crate) struct Client {
    pub(crate) identity: Option<Identity>,
    pub(crate) version: Option<&'static SupportedProtocolVersion>,
    pub(crate) alpn: Vec<&'static [u8]>,
    pub(crate) authorization: Option<&'static str>,
}

/// What a client got.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: ProtocolVersion,
    pub(crate) alpn: Option<Vec<u8>>,
    pub(crate) head: String,
}

pub(crate) fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn identity(
    by: &Issuer,
    sans: Vec<SanType>,
    usage: ExtendedKeyUsagePurpose,
) -> Identity {
    let mut params = CertificateParams::default();
    params.subject_alt_names = sans;
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    Identity { cert: params.signed_by(&key, by).unwrap().pem(), key: key.serialize_pem() }
}

pub(crate) fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// A client's certificate.
pub(crate) fn client(by: &Issuer, sans: Vec<SanType>) -> Identity {
    identity(by, sans, ExtendedKeyUsagePurpose::ClientAuth)
}

impl Folder {
    pub(crate) fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("guard-tls-{}-{made}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let folder = Self { path, authority: authority("everybody's") };
        folder.write("ca.crt", &folder.authority.pem());
        folder.renew();
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Another certificate for the server.
    pub(crate) fn renew(&self) -> Identity {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let server = identity(&self.authority, vec![dns("localhost")], usage);
        self.write("server.crt", &server.cert);
        self.write("server.key", &server.key);
        server
    }

    pub(crate) fn tls(&self) -> TlsConfig {
        TlsConfig::from_files(self.path.join("server.crt"), self.path.join("server.key"))
    }

    /// A file in YAML with what `more` says of TLS.
    pub(crate) fn file(&self, more: &str, rest: &str) -> PathBuf {
        let files = "cert_file: server.crt, key_file: server.key";
        self.write("web.yml", &format!("tls_server_config: {{{files}{more}}}\n{rest}"))
    }

    pub(crate) fn guard(&self, more: &str) -> Result<Guard, WebConfigError> {
        Guard::from_file(self.file(more, ""))
    }

    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        client: &Client,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = client.version.map_or(vec![&version::TLS12, &version::TLS13], |v| vec![v]);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match &client.identity {
            None => builder.with_no_client_auth(),
            Some(Identity { cert, key }) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = client.alpn.iter().map(|name| name.to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// One request over one connection.
    pub(crate) async fn ask(&self, guard: &Guard, client: &Client) -> io::Result<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serve = async {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = guard.acceptor().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(guard, stream).await;
            }
        };
        let ask = async {
            let mut stream = self.connect(address, client).await?;
            let mut request = "GET /metrics HTTP/1.1\r\nhost: x\r\n".to_owned();
            if let Some(value) = client.authorization {
                request += "authorization: ";
                request += value;
                request += "\r\n";
            }
            stream.write_all((request + "\r\n").as_bytes()).await?;
            let mut head = String::new();
            stream.read_to_string(&mut head).await?;
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let (_, connection) = stream.get_ref();
            Ok(Answer {
                status: status.ok_or(io::ErrorKind::UnexpectedEof)?,
                version: connection.protocol_version().unwrap(),
                alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
                head,
            })
        };
        tokio::join!(serve, ask).1
    }

    pub(crate) async fn status(&self, guard: &Guard, client: &Client) -> Option<u16> {
        self.ask(guard, client).await.ok().map(|answer| answer.status)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Client {
    pub(crate) fn with(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::default() }
    }
}

/// A server as small as can be.
pub(crate) async fn answer(guard: &Guard, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let mut headers = HeaderMap::new();
    for line in String::from_utf8(request).unwrap().trim_end().lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::try_from(name).unwrap();
        headers.append(name, HeaderValue::try_from(value).unwrap());
    }
    let mut response = match guard.admit(&headers).await {
        Ok(()) => http::Response::new("welcome"),
        Err(refusal) => refusal.response(),
    };
    guard.decorate(response.headers_mut());
    let mut text = format!("HTTP/1.1 {}\r\n", response.status());
    for (name, value) in response.headers() {
        text += name.as_str();
        text += ": ";
        text += value.to_str().unwrap();
        text += "\r\n";
    }
    let _ = stream.write_all((text + "\r\n" + response.body()).as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Runs a test whose clock stands still.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Manual) -> F) {
    let time = Manual::new();
    time.clone().run(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test(time));
    });
}
