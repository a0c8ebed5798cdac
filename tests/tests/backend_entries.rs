//! Backends by configuration: addresses, entries of text, and what entries say.

mod scraped;

use dynamo_metrics::exporter::{Backend, BackendError, Backends, BackendsError, Exporter};
use dynamo_metrics::registry::{RegisterError, Registry};
use dynamo_metrics_tests::peer::{Peer, TEXT};

use crate::scraped::page;

#[test]
fn an_address_that_is_none_is_refused() {
    type Is = fn(&BackendError) -> bool;
    let wrong: [(&str, Is); 7] = [
        ("", |it| matches!(it, BackendError::Address(_))),
        ("http://a b/", |it| matches!(it, BackendError::Address(_))),
        ("https://127.0.0.1/metrics", |it| matches!(it, BackendError::Scheme)),
        ("ftp://127.0.0.1/metrics", |it| matches!(it, BackendError::Scheme)),
        ("http:///metrics", |it| matches!(it, BackendError::Host | BackendError::Address(_))),
        ("http://ann:secret@127.0.0.1/", |it| matches!(it, BackendError::Host)),
        ("http://ann@127.0.0.1/", |it| matches!(it, BackendError::Host)),
    ];
    for (address, is) in wrong {
        let error = Backend::new(address).unwrap_err();
        assert!(is(&error), "{address}: {error:?}");
    }
}

#[test]
fn a_prefix_that_makes_no_name_is_refused_when_it_is_registered() {
    let registry = Registry::new();
    for prefix in ["", "_", "é"] {
        let backend = Backend::new("http://127.0.0.1").unwrap().prefix(prefix);
        let error = backend.register(&registry).unwrap_err();
        assert!(matches!(error, RegisterError::Name(_)), "{error:?}");
    }
}

#[test]
fn a_port_that_is_none_is_refused() {
    for port in ["99999", "65536", "0", "-1", "http"] {
        let address = format!("http://127.0.0.1:{port}/metrics");
        assert!(Backend::new(&address).is_err(), "{address}");
    }
}

#[test]
fn entries_of_text_are_all_taken_or_none() {
    type Is = fn(&BackendsError) -> bool;
    let wrong: [(&str, Is); 13] = [
        ("nonsense", |it| matches!(it, BackendsError::Syntax(_))),
        ("=http://127.0.0.1:1", |it| matches!(it, BackendsError::Syntax(_))),
        ("a.b.c=", |it| matches!(it, BackendsError::Syntax(_) | BackendsError::Backend { .. })),
        ("a..c=http://127.0.0.1:1", |it| matches!(it, BackendsError::Syntax(_))),
        ("a.b.c=https://127.0.0.1:1", |it| matches!(it, BackendsError::Backend { .. })),
        ("a.b.c=http://127.0.0.1:1;timeout=", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;timeout=2", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;timeout=2h", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;timeout=-2s", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;timeout=99999999999999999999s", |it| {
            matches!(it, BackendsError::Option(_))
        }),
        ("a.b.c=http://127.0.0.1:1;colour=red", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;honor_labels=no", |it| matches!(it, BackendsError::Option(_))),
        ("a.b.c=http://127.0.0.1:1;prefix=", |it| matches!(it, BackendsError::Prefix { .. })),
    ];
    let backends = Backends::new(&Registry::new());
    for (entry, is) in wrong {
        let error = backends.add(&format!("x.y.z=http://127.0.0.1:9, {entry}")).unwrap_err();
        assert!(is(&error), "{entry}: {error:?}");
        assert_eq!(backends.list(), [""; 0], "{entry}");
    }
}

#[test]
fn entries_stand_between_commas_and_line_ends() {
    let backends = Backends::new(&Registry::new());
    let text = "prod.backend.generate=http://127.0.0.1:1/metrics;timeout=2s;only=a|b\n\
                \n , prod.backend.other=http://127.0.0.1:2;timeout=1500ms;prefix=py,\r\n\
                backend.embed=http://127.0.0.1:3/m;without=c;honor_labels";
    assert_eq!(backends.add(text).unwrap(), 3);
    let mut list = backends.list();
    list.sort();
    let wanted = [
        "backend.embed=http://127.0.0.1:3/m",
        "prod.backend.generate=http://127.0.0.1:1/metrics",
        "prod.backend.other=http://127.0.0.1:2/metrics",
    ];
    assert_eq!(list, wanted);
    assert_eq!(backends.add("").unwrap(), 0);
    assert!(backends.remove("prod.backend.other", "http://127.0.0.1:2/metrics"));
    assert!(!backends.remove("prod.backend.other", "http://127.0.0.1:2/metrics"));
    assert_eq!(backends.list().len(), 2);
}

#[tokio::test]
async fn the_options_of_an_entry_are_those_of_a_backend() {
    let registry = Registry::new();
    let backends = Backends::new(&registry);
    let peer = Peer::page(TEXT, "aa{dynamo_component=\"in\"} 1\nab 2\nb 3\nc 4\n").await;
    let url = peer.url();
    let entry = format!("prod.backend.gen={url};only=a|b;without=ab;prefix=py;honor_labels");
    assert_eq!(backends.add(&entry).unwrap(), 1);
    let page = page(&Exporter::new(&registry)).await;
    let names: Vec<_> = page.samples().iter().map(|it| it.name.as_str()).collect();
    assert!(names.contains(&"py_aa") && names.contains(&"py_b"), "{names:?}");
    assert!(!names.contains(&"py_ab") && !names.contains(&"py_c"), "{names:?}");
    assert_eq!(page.sum("py_aa", &[("dynamo_component", "in")]), Some(1.0));
    let place = [("dynamo_namespace", "prod"), ("dynamo_endpoint", "gen")];
    assert_eq!(page.sum("py_b", &place), Some(3.0));
}

#[tokio::test]
async fn an_entry_replaces_the_one_of_its_endpoint_and_address() {
    let registry = Registry::new();
    let backends = Backends::new(&registry).most(1);
    let peer = Peer::page(TEXT, "a 1\nb 2\n").await;
    let entry = format!("prod.backend.gen={}", peer.url());
    assert_eq!(backends.add(&format!("{entry};only=a")).unwrap(), 1);
    assert_eq!(backends.add(&format!("{entry};only=b")).unwrap(), 1);
    assert_eq!(backends.list().len(), 1);
    let page = page(&Exporter::new(&registry)).await;
    assert_eq!((page.sum("a", &[]), page.sum("b", &[])), (None, Some(2.0)));
    assert_eq!(peer.heads().len(), 1);
    let other = backends.add("x.y.z=http://127.0.0.1:1").unwrap_err();
    assert!(matches!(other, BackendsError::TooMany(1)), "{other:?}");
    assert!(backends.remove("prod.backend.gen", &peer.url()));
    assert_eq!(backends.add("x.y.z=http://127.0.0.1:1").unwrap(), 1);
}

#[test]
fn a_port_is_digits_and_nothing_else() {
    for authority in ["h:80x", "h:+80", "h:", "[::1]x:80", "[::1]80", "h:0x50"] {
        assert!(Backend::new(&format!("http://{authority}/")).is_err(), "{authority}");
    }
}

#[test]
fn an_address_without_a_path_keeps_its_query() {
    let backends = Backends::new(&Registry::new());
    for (query, wanted) in [
        ("http://h?x=1", "a=http://h/metrics?x=1"),
        ("http://h/?x=1", "a=http://h/metrics?x=1"),
        ("http://h:8/p?x=1", "a=http://h:8/p?x=1"),
    ] {
        assert_eq!(backends.add(&format!("a={query}")).unwrap(), 1);
        assert_eq!(backends.list(), [wanted]);
        assert!(backends.remove("a", query));
    }
}

#[tokio::test]
async fn a_query_is_sent_to_the_path_that_is_none() {
    let registry = Registry::new();
    let peer = Peer::page(TEXT, "a 1\n").await;
    let _handle = Backend::new(&format!("http://{}?x=1", peer.address))
        .unwrap()
        .register(&registry.component("c"))
        .unwrap();
    assert_eq!(page(&Exporter::new(&registry)).await.sum("a", &[]), Some(1.0));
    assert!(peer.heads()[0].starts_with("GET /metrics?x=1 HTTP/1.1\r\n"), "{:?}", peer.heads());
}

#[test]
fn hosts_are_the_same_in_any_case() {
    let backends = Backends::new(&Registry::new());
    assert_eq!(backends.add("a=http://Engine:080/M, a=http://engine:80/M").unwrap(), 2);
    assert_eq!(backends.list(), ["a=http://engine:80/M"]);
    assert!(backends.remove("a", "HTTP://ENGINE:80/M"));
}

#[test]
fn errors_tell_the_endpoint_and_no_secret() {
    let backends = Backends::new(&Registry::new());
    for (entry, told) in [
        ("a.b=http://user:secret@h:80/m", Some("a.b=http://..@h:80/m")),
        ("a.b=http://user:se/secret@h/m", Some("a.b=http://..@h/m")),
        ("a.b=http://user:s?secret@h/m", Some("a.b=http://..")),
        ("a.b=http://user:s#secret@h/m", Some("a.b=http://..")),
        // The comma ends the entry, and the secret in it.
        ("a.b=http://user:secret,x@h/m", Some("a.b=http://user:..")),
        ("a.b=http://user:80,secret:x@h/", Some("..@h/")),
        ("a.b=user:secret@h", Some("a.b=..")),
        ("a.b=secret", Some("a.b=..")),
        ("a.b=https://h:80/m?token=secret", Some("a.b=https://h:80/m")),
        ("a.b=https://h/m?mail=x@y&token=secret", Some("a.b=https://..")),
        ("a.b=https://h/m;token=secret", Some("a.b=https://h/m")),
        ("http://user:secret@h/?token=x", None),
        ("http://user:secret@h/", None),
        ("https://h/?secret", None),
        ("a.b=http://h/?x=1;token=secret", None),
        ("a..b=http://user:secret@h/?secret", None),
    ] {
        let error = backends.add(entry).unwrap_err();
        let mut text = format!("{error:?} {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text = format!("{text} {error:?} {error}");
            cause = error.source();
        }
        assert!(!text.contains("secret"), "{text}");
        assert!(!text.contains("user:s") || told == Some("a.b=http://user:.."), "{text}");
        if let Some(told) = told {
            assert!(text.contains(&format!("{told:?}")), "{entry}: {text}");
        }
    }
}

#[tokio::test]
async fn nothing_changes_where_one_of_the_entries_is_wrong() {
    let registry = Registry::new();
    let backends = Backends::new(&registry);
    let peer = Peer::page(TEXT, "a 1\nb 2\n").await;
    let entry = format!("aa={}", peer.url());
    assert_eq!(backends.add(&format!("{entry};only=a")).unwrap(), 1);
    let list = backends.list();
    let exporter = Exporter::new(&registry);
    for _ in 0..2 {
        let wrong = format!("{entry};only=b, mm={}, zz=http://h;prefix=!", peer.url());
        let error = backends.add(&wrong);
        assert!(matches!(error, Err(BackendsError::Prefix { .. })), "{error:?}");
        assert_eq!(backends.list(), list);
        let page = page(&exporter).await;
        assert_eq!((page.sum("a", &[]), page.sum("b", &[])), (Some(1.0), None));
        assert_eq!(page.sum("dynamo_metrics_backend_up", &[("dynamo_namespace", "aa")]), Some(1.0));
    }
    assert_eq!(peer.heads().len(), 2);
    assert!(backends.remove("aa", &peer.url()));
    assert!(!scraped::scrape(&exporter).await.text().contains("dynamo_namespace=\"aa\""));
}

#[tokio::test]
async fn a_backend_that_replaces_another_is_told_of() {
    let registry = Registry::new();
    let backends = Backends::new(&registry);
    let peer = Peer::page(TEXT, "a 1\n").await;
    let exporter = Exporter::new(&registry);
    for timeout in 1..4 {
        let entry = format!("a={0};timeout=9s,a={0};timeout={timeout}s", peer.url());
        assert_eq!(backends.add(&entry).unwrap(), 2);
        assert_eq!(page(&exporter).await.sum("dynamo_metrics_backend_up", &[]), Some(1.0));
        assert_eq!(peer.heads().len(), timeout);
    }
}

#[test]
fn names_of_which_nothing_is_left_are_refused() {
    let backends = Backends::new(&Registry::new());
    for name in ["é", "a.é", "日本.b", "a._", "a.__.c", "²"] {
        let error = backends.add(&format!("{name}=http://h")).unwrap_err();
        assert!(matches!(error, BackendsError::Syntax(_)), "{name}: {error:?}");
    }
    assert_eq!(backends.add("größe.my-ns=http://h").unwrap(), 1);
}
