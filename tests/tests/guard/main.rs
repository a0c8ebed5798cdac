//! The exporter's guard, before a server and over real connections.

mod ends;

use std::net::IpAddr;
use std::time::Duration;

use dynamo_metrics::exporter::{ClientAuth, Guard, TlsConfig, TlsError, TlsVersion};
use ends::{Client, Folder, Identity, authority, client, dns, run};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rcgen::{KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ProtocolVersion, version};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

/// A bcrypt hash of `U*U`, from the tests of its reference implementation.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// `ann:U*U`.
const RIGHT: &str = "Basic YW5uOlUqVQ==";

const ALL: [ClientAuth; 5] = [
    ClientAuth::NoClientCert,
    ClientAuth::RequestClientCert,
    ClientAuth::RequireAnyClientCert,
    ClientAuth::VerifyClientCertIfGiven,
    ClientAuth::RequireAndVerifyClientCert,
];

async fn status(guard: &Guard, value: &[u8]) -> u16 {
    let value = HeaderValue::from_bytes(value).unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    guard.admit(&headers).await.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
}

#[tokio::test]
async fn each_kind_lets_in_whom_it_should() {
    let none = HeaderMap::new();
    let bearer = Guard::bearer("s3cret").unwrap();
    let basic = Guard::basic([("ann", HASH)]).unwrap();
    assert_eq!(Guard::open().admit(&none).await, Ok(()));
    for (guard, right, wrong, challenge) in [
        (&bearer, "Bearer s3cret", "Bearer s3cre", "Bearer"),
        (&basic, RIGHT, "Basic YW5uOlUqVio=", "Basic"),
    ] {
        assert_eq!(status(guard, right.as_bytes()).await, 200);
        assert_eq!(status(&guard.clone(), wrong.as_bytes()).await, 401);
        let refusal = guard.admit(&none).await.unwrap_err().response();
        assert_eq!(refusal.headers()["www-authenticate"], challenge);
        let giant = [right.as_bytes(), &vec![b'x'; 100_000]].concat();
        for odd in [&b"\xff\xfe"[..], b"", b" ", b"Basic", b"Basic YW5u", b"Basic \xff", &giant] {
            assert_eq!(status(guard, odd).await, 401);
        }
    }
    assert_eq!(status(&bearer, RIGHT.as_bytes()).await, 401);
    assert_eq!(status(&basic, b"Bearer s3cret").await, 401);
}

#[tokio::test]
async fn passwords_go_over_tls_and_headers_come_back() {
    let folder = Folder::new();
    let rest = format!(
        "basic_auth_users: {{ann: {HASH}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}"
    );
    let guard = Guard::from_file(folder.file("", &rest)).unwrap();
    let mut client = Client { authorization: Some(RIGHT), ..Client::default() };
    let answer = folder.ask(&guard, &client).await.unwrap();
    assert_eq!((answer.status, answer.version), (200, ProtocolVersion::TLSv1_3));
    assert!(answer.head.contains("x-frame-options: deny\r\n"), "{}", answer.head);
    client.authorization = None;
    let answer = folder.ask(&guard, &client).await.unwrap();
    assert!(answer.status == 401 && answer.head.contains("www-authenticate: Basic\r\n"));
    assert!(answer.head.contains("x-frame-options: deny\r\n"));
}

#[tokio::test]
async fn each_kind_of_asking_takes_the_certificates_that_it_should() {
    let folder = Folder::new();
    let ours = client(&folder.authority, vec![dns("a.example")]);
    let theirs = client(&authority("somebody else's"), vec![dns("a.example")]);
    for (auth, none, wrong) in [
        (ALL[0], true, true),
        (ALL[1], true, true),
        (ALL[2], false, true),
        (ALL[3], true, false),
        (ALL[4], false, false),
    ] {
        let ca = if auth == ALL[0] { "" } else { ", client_ca_file: ca.crt" };
        let guard = folder.guard(&format!(", client_auth_type: {auth:?}{ca}")).unwrap();
        for version in [&version::TLS12, &version::TLS13] {
            let client = Client { version: Some(version), ..Client::default() };
            let with =
                |identity: &Identity| Client { identity: Some(identity.clone()), ..client.clone() };
            let got = (
                folder.status(&guard, &client).await.is_some(),
                folder.status(&guard, &with(&theirs)).await.is_some(),
                folder.status(&guard, &with(&ours)).await.is_some(),
            );
            assert_eq!(got, (none, wrong, true), "{auth:?}");
        }
    }
}

#[tokio::test]
async fn a_servers_certificate_is_no_clients() {
    let folder = Folder::new();
    let guard = Guard::open()
        .with_tls(
            folder
                .tls()
                .client_auth(ClientAuth::RequireAndVerifyClientCert)
                .client_ca_file(folder.path.join("ca.crt")),
        )
        .unwrap();
    assert_eq!(folder.status(&guard, &Client::with(folder.renew())).await, None);
    let ours = Client::with(client(&folder.authority, Vec::new()));
    assert_eq!(folder.status(&guard, &ours).await, Some(200));
}

#[tokio::test]
async fn a_certificate_needs_one_of_the_names() {
    let folder = Folder::new();
    let address = |text: &str| SanType::IpAddress(text.parse::<IpAddr>().unwrap());
    let uri = SanType::URI("spiffe://a/b".try_into().unwrap());
    let mail = SanType::Rfc822Name("ann@a.example".try_into().unwrap());
    for auth in [ALL[2], ALL[4]] {
        let sans = "[a.example, 10.0.0.1, '2001:db8:0::1', 'spiffe://a/b', ann@a.example]";
        let more = format!(", client_auth_type: {auth:?}, client_ca_file: ca.crt");
        let guard = folder.guard(&format!("{more}, client_allowed_sans: {sans}")).unwrap();
        let nobody = folder.guard(&format!("{more}, client_allowed_sans: []")).unwrap();
        for (sans, right) in [
            (vec![dns("a.example")], true),
            (vec![dns("z.example"), dns("a.example")], true),
            (vec![address("10.0.0.1")], true),
            (vec![address("2001:db8::1")], true),
            (vec![uri.clone()], true),
            (vec![mail.clone()], true),
            (vec![], false),
            (vec![dns("A.example")], false),
            (vec![dns("b.a.example")], false),
            (vec![address("10.0.0.2")], false),
        ] {
            let client = Client::with(client(&folder.authority, sans.clone()));
            let got = folder.status(&guard, &client).await;
            assert_eq!(got.is_some(), right, "{auth:?} {sans:?}");
            assert_eq!(folder.status(&nobody, &client).await, None);
        }
    }
}

#[tokio::test]
async fn versions_and_protocols_are_those_that_were_chosen() {
    let folder = Folder::new();
    let at = |version, alpn| Client { version: Some(version), alpn, ..Client::default() };
    let (tls12, tls13) = (&version::TLS12, &version::TLS13);
    let both: Vec<&[u8]> = vec![b"h2", b"http/1.1"];
    for (more, on12, on13) in [
        ("", true, true),
        (", min_version: TLS13", false, true),
        (", max_version: TLS12", true, false),
        (", min_version: TLS12, max_version: TLS13", true, true),
    ] {
        let guard = folder.guard(more).unwrap();
        for (version, on) in [(tls12, on12), (tls13, on13)] {
            let answer = folder.ask(&guard, &at(version, both.clone())).await;
            assert_eq!(answer.is_ok(), on, "{more}");
            if let Ok(answer) = answer {
                assert_eq!(answer.version, version.version);
                assert_eq!(answer.alpn.as_deref(), Some(&b"h2"[..]));
            }
        }
    }
    let off = Guard::from_file(folder.file("", "http_server_config: {http2: false}")).unwrap();
    let answer = folder.ask(&off, &at(tls13, both)).await.unwrap();
    assert_eq!(answer.alpn.as_deref(), Some(&b"http/1.1"[..]));
    let tls = folder.tls().min_version(TlsVersion::Tls13).max_version(TlsVersion::Tls13);
    let guard = Guard::bearer("s3cret").unwrap().with_tls(tls).unwrap();
    assert_eq!(folder.status(&guard, &at(tls12, vec![])).await, None);
    assert_eq!(folder.status(&guard, &at(tls13, vec![])).await, Some(401));
}

#[tokio::test]
async fn suites_and_curves_have_gos_names() {
    let folder = Folder::new();
    let suites = |names: &str| format!(", cipher_suites: [{names}]");
    let curves = |names: &str| format!(", curve_preferences: [{names}]");
    let at = |version| Client { version: Some(version), ..Client::default() };
    let ecdsa = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    for (more, on12) in [
        (suites(ecdsa), true),
        (suites("TLS_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"), true),
        // The certificate has no RSA key.
        (suites("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), false),
        (suites("TLS_AES_256_GCM_SHA384"), false),
        (curves("CurveP384, CurveP256, X25519"), true),
    ] {
        let guard = folder.guard(&more).unwrap();
        assert_eq!(folder.status(&guard, &at(&version::TLS12)).await.is_some(), on12, "{more}");
        assert_eq!(folder.status(&guard, &at(&version::TLS13)).await, Some(200), "{more}");
    }
    for (more, expected) in [
        (suites("TLS_RSA_WITH_AES_128_CBC_SHA"), "no cipher suite TLS_RSA_WITH_AES_128_CBC_SHA"),
        (suites("TLS13_AES_128_GCM_SHA256"), "no cipher suite TLS13_AES_128_GCM_SHA256"),
        (curves("CurveP521"), "no curve CurveP521"),
        (curves("x25519"), "no curve x25519"),
    ] {
        assert_eq!(tls_error(&folder, &more), expected);
    }
}

/// What is wrong with TLS in a file.
fn tls_error(folder: &Folder, more: &str) -> String {
    let error = folder.guard(more).unwrap_err();
    assert_eq!(error.to_string(), "tls_server_config cannot be used", "{more}");
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn what_does_not_go_together_is_an_error() {
    let folder = Folder::new();
    folder.write("empty.crt", "nothing");
    let other = folder.write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    for (more, expected) in [
        (", client_ca_file: ca.crt", "client_ca without a client_auth_type"),
        (
            ", client_auth_type: RequireAndVerifyClientCert",
            "client_auth_type needs a client_ca_file",
        ),
        (", client_auth_type: VerifyClientCertIfGiven", "client_auth_type needs a client_ca_file"),
        (
            ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt, client_allowed_sans: [a]",
            "client_allowed_sans needs RequireAnyClientCert or RequireAndVerifyClientCert",
        ),
        (
            ", client_allowed_sans: []",
            "client_allowed_sans needs RequireAnyClientCert or RequireAndVerifyClientCert",
        ),
        (", min_version: TLS13, max_version: TLS12", "min_version is above max_version"),
        (", cert: x", "both cert and cert_file are given"),
        (
            ", client_auth_type: RequireAnyClientCert, client_ca_file: empty.crt",
            "no PEM of the right kind in client_ca",
        ),
    ] {
        assert_eq!(tls_error(&folder, more), expected);
    }
    let file = |text: &str| {
        let error = Guard::from_file(folder.write("web.yml", text)).unwrap_err();
        std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
    };
    let section = |text: &str| file(&format!("tls_server_config: {{{text}}}"));
    assert_eq!(section("cert_file: server.crt"), "missing one of key or key_file");
    assert_eq!(section("client_auth_type: NoClientCert"), "missing one of cert or cert_file");
    assert_eq!(
        section("cert_file: empty.crt, key_file: server.key"),
        "no PEM of the right kind in cert"
    );
    assert_eq!(
        section("cert_file: server.crt, key_file: ca.crt"),
        "no PEM of the right kind in key"
    );
    assert!(section("cert_file: nowhere.crt, key_file: server.key").starts_with("cannot read"));
    assert!(section("min_version: TLS10").contains("must be TLS12 or TLS13"));
    assert!(section("client_auth_type: Maybe").contains("must be NoClientCert"));
    assert!(matches!(
        Guard::open().with_tls(TlsConfig::from_files(folder.path.join("server.crt"), other)),
        Err(TlsError::Config(_))
    ));
    let twice = folder.guard("").unwrap().with_tls(folder.tls());
    assert!(matches!(twice, Err(TlsError::Twice)));
}

#[test]
fn certificates_in_place_are_as_good_as_files() {
    run(async |_| {
        let folder = Folder::new();
        let server = folder.renew();
        let indented = |text: &str| text.replace('\n', "\n    ");
        let text = format!(
            "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n  client_ca: |\n    {}\n  \
             client_auth_type: RequireAndVerifyClientCert\n",
            indented(&server.cert),
            indented(&server.key),
            indented(&folder.authority.pem()),
        );
        let guard = Guard::from_file(folder.write("web.yml", &text)).unwrap();
        let ours = Client::with(client(&folder.authority, Vec::new()));
        assert_eq!(folder.status(&guard, &ours).await, Some(200));
        assert_eq!(folder.status(&guard, &Client::default()).await, None);
        let guard = Guard::open().with_tls(TlsConfig::from_pem(server.cert, server.key)).unwrap();
        assert_eq!(folder.status(&guard, &Client::default()).await, Some(200));
    });
}

/// The certificate that a server shows.
async fn shown(folder: &Folder, guard: &Guard) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        guard.acceptor().await.unwrap().accept(stream).await
    };
    let client = Client::default();
    let (_server, stream) = tokio::join!(serve, folder.connect(address, &client));
    stream.unwrap().get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn certificates_are_read_again_when_they_change() {
    run(async |time| {
        let folder = Folder::new();
        let guards = [folder.guard("").unwrap(), Guard::open().with_tls(folder.tls()).unwrap()];
        let der = |server: &Identity| {
            CertificateDer::from_pem_slice(server.cert.as_bytes()).unwrap().to_vec()
        };
        let renewed = folder.renew();
        for guard in &guards {
            assert_ne!(shown(&folder, guard).await, der(&renewed));
        }
        time.advance(Duration::from_secs(1));
        for guard in &guards {
            assert_eq!(shown(&folder, guard).await, der(&renewed));
        }
        // The certificate is renewed and the key is not, or not yet.
        folder.write("server.key", &KeyPair::generate().unwrap().serialize_pem());
        time.advance(Duration::from_secs(1));
        for guard in &guards {
            assert_eq!(shown(&folder, guard).await, der(&renewed));
            assert_eq!(folder.status(guard, &Client::default()).await, Some(500));
        }
        folder.write("server.key", &renewed.key);
        time.advance(Duration::from_secs(1));
        for guard in &guards {
            assert_eq!(folder.status(guard, &Client::default()).await, Some(200));
        }
    });
}

#[test]
fn tls_is_not_switched_while_the_process_runs() {
    run(async |time| {
        let folder = Folder::new();
        let guard = folder.guard("").unwrap();
        folder.write("web.yml", "http_server_config: {}");
        time.advance(Duration::from_secs(1));
        assert_eq!(folder.status(&guard, &Client::default()).await, Some(500));
        let plain = Guard::from_file(folder.path.join("web.yml")).unwrap();
        folder.file("", "");
        time.advance(Duration::from_secs(1));
        assert!(plain.acceptor().await.is_none());
        assert_eq!(plain.admit(&HeaderMap::new()).await.unwrap_err().status(), 500);
        assert_eq!(folder.status(&guard, &Client::default()).await, Some(200));
    });
}

#[test]
fn an_authority_that_goes_takes_its_clients_with_it() {
    run(async |time| {
        let folder = Folder::new();
        let ours = Client::with(client(&folder.authority, Vec::new()));
        let theirs = authority("somebody else's");
        let more = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt";
        let guard = folder.guard(more).unwrap();
        assert_eq!(folder.status(&guard, &ours).await, Some(200));
        folder.write("ca.crt", &theirs.pem());
        time.advance(Duration::from_secs(1));
        assert_eq!(folder.status(&guard, &ours).await, None);
        let theirs = Client::with(client(&theirs, Vec::new()));
        assert_eq!(folder.status(&guard, &theirs).await, Some(200));
    });
}

#[test]
fn keys_are_told_nowhere() {
    let folder = Folder::new();
    let server = folder.renew();
    let secret = server.key.lines().nth(1).unwrap();
    let tls = TlsConfig::from_pem(server.cert.clone(), server.key.clone());
    let mut told = vec![format!("{tls:?} {tls:#?}")];
    told.push(format!("{:?}", Guard::open().with_tls(tls).unwrap()));
    for config in [
        TlsConfig::from_pem(server.key.clone(), server.key.clone()),
        TlsConfig::from_pem(server.cert.clone(), server.key.replace("-----END", "")),
        TlsConfig::from_pem(folder.authority.pem(), server.key.clone()),
    ] {
        let error = Guard::open().with_tls(config).unwrap_err();
        told.push(format!("{error} {error:?} {:?}", std::error::Error::source(&error)));
    }
    let bytes = format!("{:?}", &server.key.as_bytes()[40..50]);
    for told in told {
        assert!(!told.contains(secret) && !told.contains(bytes.trim_matches(['[', ']'])), "{told}");
    }
}

#[tokio::test]
async fn other_talk_than_tls_harms_nobody() {
    let folder = Folder::new();
    let guard = folder.guard("").unwrap();
    for talk in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b"", &[0; 1000]] {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        ours.write_all(talk).await.unwrap();
        ours.shutdown().await.unwrap();
        assert!(guard.acceptor().await.unwrap().accept(theirs).await.is_err());
    }
    assert_eq!(folder.status(&guard, &Client::default()).await, Some(200));
}
