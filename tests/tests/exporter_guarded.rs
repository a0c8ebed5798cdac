//! Those who may not come in at the exporter's own door, in every way of not knowing the password.

mod door;

use dynamo_metrics::exporter::Guard;
use tokio::task::JoinSet;

use crate::door::{Answer, Door, small};

/// A bcrypt hash of `U*U`, from the tests of its reference implementation.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// `ann:U*U`, `ann:wrong`, and `eve:wrong`, of whom nobody heard.
const RIGHT: &str = "YW5uOlUqVQ==";
const WRONG: &str = "YW5uOndyb25n";
const STRANGE: &str = "ZXZlOndyb25n";

async fn guarded(guard: Guard) -> Door {
    Door::open_with(&small(), |exporter| exporter.guard(guard)).await
}

async fn ask(door: &Door, authorization: impl AsRef<[u8]>) -> Answer {
    let head = b"GET /metrics?name[]=x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    door.ask([head, authorization.as_ref(), b"\r\n"].concat()).await
}

#[tokio::test]
async fn whoever_shows_the_wrong_thing_stays_out() {
    for (guard, right, challenge) in [
        (Guard::basic([("ann", HASH)]).unwrap(), format!("Basic {RIGHT}"), "basic"),
        (Guard::bearer("s3cret").unwrap(), "Bearer s3cret".to_owned(), "bearer"),
    ] {
        let door = guarded(guard).await;
        let answer = ask(&door, format!("authorization: {right}\r\n")).await;
        assert_eq!((answer.status, answer.text()), (200, "# TYPE x gauge\nx 7\n"));
        let giant = format!("{right}{}", "x".repeat(50_000));
        for odd in [
            "",
            " ",
            "Basic",
            "Basic ",
            "Bearer",
            "Bearer  ",
            "Basic !!!",
            // `ann`, without a colon, and a right password without its padding.
            "Basic YW5u",
            "Basic YW5uOlUqVQ",
            "Basic YW5uOlUqVQ== YW5uOlUqVQ==",
            "Basic \u{ff}\u{fe}",
            "Basic YW5uOlUqVQA=",
            "Digest username=\"ann\"",
            "s3cret",
            "Bearer s3cretS3cret",
            "Bearer S3CRET",
            "Bearer s3cret, Bearer s3cret",
            &format!("Basic {WRONG}"),
            &format!("Basic {STRANGE}"),
            &giant,
        ] {
            let answer = ask(&door, format!("authorization: {odd}\r\n")).await;
            assert_eq!(answer.status, 401, "{odd}");
            assert_eq!(answer.header("www-authenticate"), Some(challenge));
            assert!(!answer.text().contains("x 7"));
        }
        for headers in ["", "proxy-authorization: Bearer s3cret\r\n"] {
            assert_eq!(ask(&door, headers).await.status, 401);
        }
        assert_eq!(door.scrapes("total", &[]), 1.0, "only one was let in");
    }
}

#[tokio::test]
async fn no_path_and_no_method_goes_around_the_guard() {
    let door = guarded(Guard::bearer("s3cret").unwrap()).await;
    for path in ["/", "/metrics", "/metrics?x", "/live", "/health", "/nowhere", "//metrics"] {
        for method in ["GET", "HEAD", "POST", "OPTIONS", "BREW"] {
            let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            let sent = door.hear(head).await;
            let (answer, rest) = Answer::read(&sent, method != "HEAD");
            assert_eq!((answer.status, rest), (401, &b""[..]), "{method} {path}");
        }
    }
    let whole = "GET http://x/metrics HTTP/1.0\r\n\r\n";
    assert_eq!(door.ask(whole).await.status, 401);
    assert_eq!(door.scrapes("total", &[]), 0.0);
}

#[tokio::test]
async fn each_request_of_a_connection_shows_who_it_is() {
    let door = guarded(Guard::basic([("ann", HASH)]).unwrap()).await;
    let request = |value: &str, connection: &str| {
        format!("GET /live HTTP/1.1\r\nhost: x\r\nauthorization: {value}\r\n{connection}\r\n")
    };
    let right = request(&format!("Basic {RIGHT}"), "");
    let none = "GET /live HTTP/1.1\r\nhost: x\r\n\r\n";
    let last = request(&format!("Basic {STRANGE}"), "connection: close\r\n");
    let heard = door.hear([&right, none, &right, &last].map(String::from).concat()).await;
    let mut rest = &heard[..];
    for expected in [200, 401, 200, 401] {
        let (answer, after) = Answer::read(rest, true);
        assert_eq!(answer.status, expected);
        rest = after;
    }
}

/// A hash takes a while, and only so many may wait for one: whoever is turned away would have cost
/// one, so that strangers and users who are wrong are told apart by nothing.
#[tokio::test]
async fn strangers_wait_in_the_line_of_users() {
    // Dearer than the other, and the hash of nothing that is asked for.
    let dear = HASH.replace("$05$", "$08$");
    let door = guarded(Guard::basic([("ann", HASH), ("bob", &dear)]).unwrap()).await;
    let right = format!("authorization: Basic {RIGHT}\r\n");
    assert_eq!(ask(&door, &right).await.status, 200);
    let mut asking = JoinSet::new();
    for n in 0..160 {
        // `bob:wrong` costs as much as somebody whom nobody knows.
        let (is_known, value) = (n % 2 == 0, if n % 2 == 0 { "Ym9iOndyb25n" } else { STRANGE });
        let head = format!("GET /live HTTP/1.1\r\nhost: x\r\nauthorization: Basic {value}\r\n\r\n");
        let mut client = door.say(head).await;
        asking.spawn(async move {
            let sent = client.read_until("\r\n\r\n").await.map(<[u8]>::to_vec);
            let status = sent.map_or(0, |sent| Answer::read(&sent, false).0.status);
            (is_known, status)
        });
    }
    let (mut turned_away, mut others) = ([false; 2], Vec::new());
    while turned_away != [true; 2] {
        let (is_known, status) = asking.join_next().await.expect("both in time").unwrap();
        match status {
            429 => turned_away[usize::from(is_known)] = true,
            _ => others.push(status),
        }
    }
    // Who was let in before waits for nobody; who shows nothing is refused at once.
    assert_eq!(ask(&door, &right).await.status, 200);
    assert_eq!(ask(&door, "").await.status, 401);
    assert!(others.iter().all(|&status| status == 401), "{others:?}");
}
