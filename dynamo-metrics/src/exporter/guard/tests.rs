//! Guards of files: what is in them, when they change, and that nothing of it is told.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Guard, Who, hash_for_tests as hash};
use crate::clock::Manual;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("guard-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.join("web.yml")
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(self.file(), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs a test whose clock stands still.
fn run<F: Future<Output = ()>>(test: impl FnOnce(Manual) -> F) {
    let time = Manual::new();
    time.clone().run(|| {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test(time));
    });
}

fn basic(both: &str) -> HeaderMap {
    let value = format!("Basic {}", STANDARD.encode(both));
    HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
}

async fn status(guard: &Guard, both: &str) -> u16 {
    guard.admit(&basic(both)).await.map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
}

fn users(users: &[(&str, &str)]) -> String {
    let line = |&(name, password): &(&str, &str)| format!("  {name}: {}\n", hash(password));
    "basic_auth_users:\n".to_owned() + &users.iter().map(line).collect::<String>()
}

fn runs(guard: &Guard) -> usize {
    match &*guard.who {
        Who::File(file) => file.last().value.users.as_ref().unwrap().runs(),
        _ => 0,
    }
}

/// What a file says that is wrong.
fn error(text: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    folder.write(text);
    Guard::from_file(folder.file()).unwrap_err().to_string()
}

#[test]
fn users_come_and_go_with_the_file() {
    run(async |time| {
        let folder = Folder::new();
        folder.write(users(&[("ann", "one")]));
        let guard = Guard::from_file(folder.file()).unwrap();
        assert_eq!((status(&guard, "ann:one").await, status(&guard, "bob:two").await), (200, 401));
        folder.write(users(&[("ann", "one"), ("bob", "two")]));
        assert_eq!(status(&guard, "bob:two").await, 401, "not looked at within a second");
        time.advance(Duration::from_secs(1));
        assert_eq!(status(&guard, "bob:two").await, 200);
        let before = runs(&guard);
        assert_eq!(status(&guard, "ann:one").await, 200);
        assert_eq!(runs(&guard), before, "what is remembered stays");
        folder.write(users(&[("bob", "two")]));
        time.advance(Duration::from_secs(1));
        assert_eq!((status(&guard, "ann:one").await, status(&guard, "bob:two").await), (401, 200));
    });
}

#[test]
fn a_file_that_breaks_lets_nobody_in_until_it_is_mended() {
    run(async |time| {
        let folder = Folder::new();
        let good =
            users(&[("ann", "one")]) + "http_server_config: {headers: {X-Frame-Options: deny}}";
        folder.write(&good);
        let guard = Guard::from_file(folder.file()).unwrap();
        assert_eq!(status(&guard, "ann:one").await, 200);
        let bad: [&[u8]; 8] = [
            b"",
            b"{",
            b"# nothing\n",
            b"basic_auth_users:\n",
            b"http_server_config: {}",
            b"unknown: 1",
            b"basic_auth_users: {ann: one}",
            b"\xff\xfe",
        ];
        for bad in bad {
            folder.write(bad);
            time.advance(Duration::from_secs(1));
            for both in ["ann:one", "ann:two"] {
                assert_eq!(status(&guard, both).await, 500, "{bad:?}");
            }
            let mut headers = HeaderMap::new();
            guard.decorate(&mut headers);
            assert_eq!(headers["x-frame-options"], "deny");
            folder.write(&good);
            assert_eq!(status(&guard, "ann:one").await, 500);
            time.advance(Duration::from_secs(1));
            assert_eq!((status(&guard, "ann:one").await, status(&guard, "a:b").await), (200, 401));
        }
        fs::remove_file(folder.file()).unwrap();
        time.advance(Duration::from_secs(1));
        assert_eq!(status(&guard, "ann:one").await, 500);
        folder.write(&good);
        time.advance(Duration::from_secs(1));
        assert_eq!(status(&guard, "ann:one").await, 200);
        // One hash for ann, and one for each time that `a` came.
        assert_eq!(runs(&guard), 1 + bad.len());
    });
}

#[test]
fn a_limit_outlives_changes_and_strangers_do_not_use_it_up() {
    run(async |time| {
        let folder = Folder::new();
        let limit = "rate_limit: {interval: 1h, burst: 3}\n";
        folder.write(users(&[("ann", "one")]) + limit);
        let guard = Guard::from_file(folder.file()).unwrap();
        assert_eq!(status(&guard, "ann:one").await, 200);
        for expected in [401, 401, 429, 429] {
            assert_eq!(status(&guard, "eve:x").await, expected);
        }
        assert_eq!(status(&guard, "ann:one").await, 200);
        folder.write(users(&[("ann", "one"), ("bob", "two")]) + limit);
        time.advance(Duration::from_secs(1));
        assert_eq!(status(&guard, "ann:one").await, 200);
        let refusal = guard.admit(&basic("ann:one")).await.unwrap_err();
        assert_eq!(refusal.response().headers()["retry-after"], "1");
        assert_eq!(refusal.status(), 429);
    });
}

#[test]
fn a_file_without_users_lets_everybody_in() {
    run(async |_| {
        let folder = Folder::new();
        for text in ["http_server_config:\n", "basic_auth_users: {}\nrate_limit:\n", "---\n{x: }\n"]
        {
            folder.write(text.replace("x:", "rate_limit:"));
            let guard = Guard::from_file(folder.file()).unwrap();
            assert_eq!(guard.admit(&HeaderMap::new()).await, Ok(()));
        }
    });
}

#[test]
fn headers_are_the_five_and_blank_ones_are_none() {
    let folder = Folder::new();
    folder.write(
        "http_server_config:\n  http2: off\n  headers:\n    Content-Security-Policy: default-src 'self'\n    \
         X-Frame-Options: sameorigin\n    X-Content-Type-Options: nosniff\n    X-XSS-Protection: ''\n    \
         Strict-Transport-Security: \"max-age=1; preload\"\n",
    );
    let mut headers = HeaderMap::new();
    Guard::from_file(folder.file()).unwrap().decorate(&mut headers);
    assert_eq!(headers.len(), 4);
    assert_eq!(headers["content-security-policy"], "default-src 'self'");
    assert_eq!(headers["strict-transport-security"], "max-age=1; preload");
    assert_eq!(headers["x-frame-options"], "sameorigin");
}

#[test]
fn keys_that_nobody_knows_are_named() {
    let unknown = |text| error(text).strip_prefix("unknown key ").unwrap().to_owned();
    assert_eq!(unknown("rate_limits: {}"), "rate_limits (line 1)");
    assert_eq!(
        unknown("\n\nhttp_server_config:\n  htp2: true"),
        "http_server_config.htp2 (line 4)"
    );
    assert_eq!(unknown("rate_limit: {brust: 1}"), "rate_limit.brust (line 1)");
    assert_eq!(
        unknown("http_server_config: {headers: {Server: x}}"),
        "http_server_config.headers.Server (line 1)"
    );
    #[cfg(feature = "tls")]
    assert_eq!(unknown("tls_server_config: {cret: x}"), "tls_server_config.cret (line 1)");
    // What looks like no key may be a secret.
    assert_eq!(unknown("$2y$10$abc: ann"), "(..) (line 1)");
}

#[test]
fn values_that_cannot_be_are_errors() {
    for (text, expected) in [
        (
            "rate_limit: {interval: 1x, burst: 1}",
            "rate_limit.interval must be a duration, such as 1s",
        ),
        (
            "rate_limit: {interval: 5, burst: 1}",
            "rate_limit.interval must be a duration, such as 1s",
        ),
        (
            "rate_limit: {interval: -1s, burst: 1}",
            "rate_limit.interval must be a duration, such as 1s",
        ),
        ("rate_limit: {interval: 1s, burst: 0}", "rate_limit.burst must be a number from 1"),
        ("rate_limit: {interval: 1s}", "rate_limit.burst must be a number from 1"),
        ("rate_limit: 5", "rate_limit must be a section"),
        ("http_server_config: {http2: maybe}", "http_server_config.http2 must be true or false"),
        ("http_server_config: {http2: [x]}", "http_server_config.http2 must be true or false"),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "http_server_config.headers.X-Frame-Options must be deny or sameorigin",
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}",
            "http_server_config.headers.X-XSS-Protection must be the value of a header",
        ),
        ("basic_auth_users: [ann]", "basic_auth_users must be a section"),
        (
            "basic_auth_users: {'a:b': x}",
            "basic_auth_users.(..) must be under a name without a colon",
        ),
        ("basic_auth_users: {ann: hunter2}", "no bcrypt hash of cost 4 to 18"),
        ("basic_auth_users: {ann: }", "no bcrypt hash of cost 4 to 18"),
        ("basic_auth_users: &a {ann: x}\nrate_limit: *a", "aliases are not known (line 2)"),
        ("rate_limit: {burst: 1, burst: 2}", "repeated key rate_limit.burst"),
        ("rate_limit: {}\nrate_limit: {}", "repeated key rate_limit"),
        ("a: {", "no valid YAML"),
        ("[a]", "no valid YAML"),
        ("a", "no valid YAML"),
        ("--- {}\n--- {}", "no valid YAML"),
        ("{[a]: b}", "no valid YAML"),
        ("", "file says nothing"),
        ("# nothing", "file says nothing"),
        ("~", "file says nothing"),
    ] {
        assert!(error(text).starts_with(expected), "{text}: {}", error(text));
    }
    assert!(error("[".repeat(100_000)).starts_with("no valid YAML"));
    assert!(error("a: ".repeat(100_000)).starts_with("no valid YAML"));
    assert_eq!(error([0xff]), "file is not UTF-8");
}

#[test]
fn a_file_over_one_mebibyte_is_an_error() {
    let text = |length: usize| "rate_limit: {}\n#".to_owned() + &"x".repeat(length - 16);
    let folder = Folder::new();
    folder.write(text(1024 * 1024));
    assert!(Guard::from_file(folder.file()).is_ok());
    assert!(error(text(1024 * 1024 + 1)).ends_with("is longer than 1 MiB"));
    assert!(Guard::from_file(Path::new("/nowhere")).unwrap_err().to_string().starts_with("cannot"));
}

#[test]
fn durations_are_gos() {
    let folder = Folder::new();
    for (text, taken) in
        [("1m30s", true), ("1.5h", true), ("100ms", true), ("0", false), ("0s", false)]
    {
        folder.write(format!("rate_limit: {{interval: {text}, burst: 1}}"));
        run(async |_| {
            let guard = Guard::from_file(folder.file()).unwrap();
            assert!(guard.admit(&HeaderMap::new()).await.is_ok());
            assert_eq!(guard.admit(&HeaderMap::new()).await.is_err(), taken, "{text}");
        });
    }
}

#[test]
fn secrets_are_told_nowhere() {
    run(async |time| {
        let folder = Folder::new();
        let secret = hash("hunter2");
        folder.write(format!("basic_auth_users: {{ann: {secret}}}"));
        let file = Guard::from_file(folder.file()).unwrap();
        status(&file, "ann:hunter2").await;
        let guards = [
            Guard::basic([("ann", &secret)]).unwrap(),
            Guard::bearer("hunter2").unwrap(),
            file.clone(),
        ];
        let mut told: Vec<String> =
            guards.iter().map(|guard| format!("{guard:?} {guard:#?}")).collect();
        for guard in &guards {
            let refusal = guard.admit(&basic("ann:hunter2-not")).await.unwrap_err();
            told.push(format!("{refusal:?} {refusal} {:?}", refusal.response()));
        }
        for text in [
            format!("basic_auth_users: {{ann: hunter2{secret}}}"),
            format!("basic_auth_users: {{ann: [{secret}, hunter2]}}"),
            format!("basic_auth_users: {secret} hunter2"),
            format!("{secret}: hunter2"),
            format!("{secret} hunter2: ann"),
            format!("basic_auth_users:\n  ann: *{secret}"),
            format!("basic_auth_users:\n  ann: !{secret} hunter2"),
            format!("basic_auth_users:\n ann: \"{secret} hunter2"),
            format!("tls_server_config: {{key: '{secret} hunter2', cert: x}}"),
            format!("tls_server_config: {{key: ['{secret} hunter2'], cert: x}}"),
            format!("http_server_config: '{secret} hunter2'"),
        ] {
            folder.write(text);
            let error = Guard::from_file(folder.file()).unwrap_err();
            told.push(format!("{error:?} {error} {:?}", std::error::Error::source(&error)));
            time.advance(Duration::from_secs(1));
            status(&file, "ann:hunter2").await;
            told.extend(match &*file.who {
                Who::File(file) => file.last().why().map(str::to_owned),
                _ => None,
            });
        }
        assert_eq!(told.len(), 6 + 2 * 11);
        let salt = &secret[7..20];
        for told in told {
            assert!(!told.contains("hunter2") && !told.contains(salt), "{told}");
        }
    });
}
