//! Basic authentication: users, and the hashes of their passwords.
//!
//! A hash is slow on purpose, so one is computed at a time, and what a user was let in with is
//! remembered. There is one such place for each user, and only right passwords come into it: whoever
//! guesses can neither fill nor empty it, and those whose place is filled wait for nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::blocking;
use super::credentials::{CredentialsError, shown};
use super::hash::PasswordHash;
use super::rate::Limit;
use super::refusal::{Challenge, Refusal};

/// Most requests that wait for their hash.
const MOST_WAITING: usize = 64;

/// Those who may come in.
pub(super) struct Users {
    by_name: HashMap<String, User>,
    /// Whom those are compared with who are not there.
    nobody: User,
    gate: Arc<Gate>,
}

struct User {
    hash: PasswordHash,
    /// What it was let in with.
    right: Mutex<Option<[u8; 32]>>,
}

/// Where hashes are computed. It outlives changes of the file.
struct Gate {
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Hashes that were computed.
    runs: AtomicUsize,
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl Users {
    /// Users by name. What is remembered of those in `before` stays if their hash is the same.
    pub(super) fn new<'a>(
        users: impl IntoIterator<Item = (&'a str, PasswordHash)>,
        before: Option<&Self>,
    ) -> Result<Self, CredentialsError> {
        let mut by_name = HashMap::new();
        let mut cost = None;
        for (i, (name, hash)) in users.into_iter().enumerate() {
            let known = before.and_then(|before| before.by_name.get(name));
            let right = known.filter(|known| known.hash == hash).and_then(User::right);
            let user = User { hash, right: Mutex::new(right) };
            if name.contains(':') || by_name.insert(name.to_owned(), user).is_some() {
                return Err(CredentialsError::Name(i + 1));
            }
            cost = cost.max(Some(hash.cost));
        }
        let hash = PasswordHash::fake(cost.ok_or(CredentialsError::NoUsers)?);
        let nobody = User { hash, right: Mutex::new(None) };
        let gate = before.map_or_else(|| Arc::new(Gate::new()), |before| before.gate.clone());
        Ok(Self { by_name, nobody, gate })
    }

    /// Users whose hashes are still text.
    pub(super) fn parse<U: AsRef<str>, H: AsRef<str>>(
        users: impl IntoIterator<Item = (U, H)>,
    ) -> Result<Self, CredentialsError> {
        let mut parsed = Vec::new();
        for (i, (name, hash)) in users.into_iter().enumerate() {
            let hash = PasswordHash::parse(hash.as_ref()).ok_or(CredentialsError::Hash(i + 1))?;
            parsed.push((name, hash));
        }
        Self::new(parsed.iter().map(|(name, hash)| (name.as_ref(), *hash)), None)
    }

    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        limit: Option<&Limit>,
    ) -> Result<(), Refusal> {
        let refusal = || Refusal::unauthorized(Challenge::Basic);
        let heard = || match limit {
            Some(limit) if !limit.hear_stranger() => Err(Refusal::too_many()),
            _ => Ok(()),
        };
        let Some((name, password)) = read(headers) else {
            heard()?;
            return Err(refusal());
        };
        let found = std::str::from_utf8(&name).ok().and_then(|name| self.by_name.get(name));
        // From here on, both ways cost the same.
        let user = found.unwrap_or(&self.nobody);
        let digest = digest(&name, &user.hash, &password);
        if user.was_right_with(&digest) {
            return Ok(());
        }
        heard()?;
        let is_right = self.gate.compare(user, &digest, password).await?;
        if found.is_none() || !is_right {
            return Err(refusal());
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn runs(&self) -> usize {
        self.gate.runs.load(Ordering::Relaxed)
    }
}

impl User {
    fn right(&self) -> Option<[u8; 32]> {
        *self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn was_right_with(&self, digest: &[u8; 32]) -> bool {
        self.right().is_some_and(|right| bool::from(right.ct_eq(digest)))
    }
}

impl Gate {
    fn new() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
        }
    }

    /// Whether `password` is `user`'s, and remembers it if so.
    async fn compare(
        &self,
        user: &User,
        digest: &[u8; 32],
        password: Zeroizing<Vec<u8>>,
    ) -> Result<bool, Refusal> {
        let _place = Place::take(&self.waiting).ok_or_else(Refusal::too_many)?;
        let turn = self.turn.clone().acquire_owned().await.map_err(|_| Refusal::broken())?;
        // Somebody before us may have asked the same.
        if user.was_right_with(digest) {
            return Ok(true);
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        let hash = user.hash;
        let work = blocking(move || {
            // Goes with the work, not with whoever waits for it: one at a time, whatever they do.
            // It comes back, so that the next one finds what is remembered.
            (hash.matches(&password), turn)
        });
        let (is_right, _turn) = work.await.ok_or_else(Refusal::broken)?;
        if is_right {
            *user.right.lock().unwrap_or_else(PoisonError::into_inner) = Some(*digest);
        }
        Ok(is_right)
    }
}

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

type Secret = Zeroizing<Vec<u8>>;

/// Name and password.
fn read(headers: &HeaderMap) -> Option<(Secret, Secret)> {
    let both = Zeroizing::new(STANDARD.decode(shown(headers, "basic")?).ok()?);
    let colon = both.iter().position(|&byte| byte == b':')?;
    let (name, password) = (both[..colon].to_vec(), both[colon + 1..].to_vec());
    Some((Zeroizing::new(name), Zeroizing::new(password)))
}

/// What is remembered in place of a password. The hash has a salt, so two users with one password
/// have two digests.
fn digest(name: &[u8], hash: &PasswordHash, password: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name);
    digest.update(hash.bytes());
    digest.update(password);
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join_all;
    use http::HeaderValue;
    use http::header::AUTHORIZATION;

    use super::super::hash_for_tests as hash;
    use super::*;

    fn said(value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    fn basic(both: impl AsRef<[u8]>) -> HeaderMap {
        said(format!("Basic {}", STANDARD.encode(both)).as_bytes())
    }

    fn users() -> Users {
        Users::parse([("ann", hash("right")), ("bob", hash(""))]).unwrap()
    }

    #[tokio::test]
    async fn a_scraper_costs_one_hash() {
        let users = users();
        for _ in 0..10 {
            users.admit(&basic("ann:right"), None).await.unwrap();
        }
        assert_eq!(users.runs(), 1);
    }

    #[tokio::test]
    async fn ten_scrapers_that_come_at_once_cost_one_hash() {
        let users = users();
        let headers = basic("ann:right");
        let all = join_all((0..10).map(|_| users.admit(&headers, None))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(users.runs(), 1);
    }

    #[tokio::test]
    async fn strangers_take_the_same_way_as_users() {
        let users = users();
        for (i, both) in ["ann:wrong", "eve:wrong", "eve:right", "eve:", "bob:x", "a\u{fc}:x"]
            .into_iter()
            .enumerate()
        {
            let refusal = users.admit(&basic(both), None).await.unwrap_err();
            assert_eq!(refusal.status(), 401);
            assert_eq!(users.runs(), i + 1, "{both}");
        }
        let bytes = users.admit(&basic(b"\xff\xfe:right"), None).await;
        assert_eq!((bytes.is_err(), users.runs()), (true, 7));
        // An empty password is one as good as others, if somebody chose it.
        users.admit(&basic("bob:"), None).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_credentials_costs_nothing() {
        let users = users();
        let giant = format!("Basic {}", STANDARD.encode("ann:".to_owned() + &"x".repeat(9_000)));
        for value in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Basic !!!",
            b"Basic YW5uOnJpZ2h0Cg", // padding is missing
            b"Basic YW5u",           // `ann`, without a colon
            b"Bearer YW5uOnJpZ2h0",
            b"Basic \xff\xfe",
            giant.as_bytes(),
        ] {
            assert_eq!(users.admit(&said(value), None).await.unwrap_err().status(), 401);
        }
        assert_eq!(users.admit(&HeaderMap::new(), None).await.unwrap_err().status(), 401);
        assert_eq!(users.runs(), 0);
    }

    #[tokio::test]
    async fn wrong_passwords_leave_what_is_remembered() {
        let users = users();
        users.admit(&basic("ann:right"), None).await.unwrap();
        for i in 0..200 {
            assert!(users.admit(&basic(format!("ann:{i}")), None).await.is_err());
        }
        users.admit(&basic("ann:right"), None).await.unwrap();
        assert_eq!(users.runs(), 201);
        assert!(users.nobody.right().is_none());
    }

    #[tokio::test]
    async fn whoever_is_remembered_waits_for_nobody_and_queues_end() {
        let users = users();
        users.admit(&basic("ann:right"), None).await.unwrap();
        // Somebody is at it, for ever.
        let turn = users.gate.turn.clone().acquire_owned().await.unwrap();
        let wrong = basic("ann:wrong");
        let mut waiting: Vec<_> =
            (0..MOST_WAITING).map(|_| Box::pin(users.admit(&wrong, None))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        assert_eq!(users.admit(&wrong, None).await.unwrap_err().status(), 429);
        users.admit(&basic("ann:right"), None).await.unwrap();
        // Those who leave give their places back.
        drop(waiting);
        assert_eq!(users.gate.waiting.load(Ordering::Relaxed), 0);
        drop(turn);
        assert_eq!(users.admit(&wrong, None).await.unwrap_err().status(), 401);
    }

    #[tokio::test]
    async fn a_hash_goes_on_when_nobody_waits_for_it_and_still_alone() {
        let users = users();
        let wrong = basic("ann:wrong");
        let mut left = Box::pin(users.admit(&wrong, None));
        assert!(left.as_mut().now_or_never().is_none());
        drop(left);
        users.admit(&basic("ann:right"), None).await.unwrap();
        assert_eq!((users.runs(), users.gate.turn.available_permits()), (2, 1));
    }

    #[tokio::test]
    async fn what_is_remembered_goes_with_the_hash() {
        let (one, other) = (hash("right"), hash("left"));
        let parse = |text: &str| PasswordHash::parse(text).unwrap();
        let first = Users::new([("ann", parse(&one))], None).unwrap();
        first.admit(&basic("ann:right"), None).await.unwrap();
        let same = Users::new([("ann", parse(&one)), ("bob", parse(&one))], Some(&first)).unwrap();
        same.admit(&basic("ann:right"), None).await.unwrap();
        assert_eq!(same.runs(), 1);
        let changed = Users::new([("ann", parse(&other))], Some(&same)).unwrap();
        assert!(changed.admit(&basic("ann:right"), None).await.is_err());
        changed.admit(&basic("ann:left"), None).await.unwrap();
        assert_eq!(changed.runs(), 3);
    }

    #[test]
    fn users_that_cannot_be_are_errors() {
        let error = |users: &[(&str, &str)]| Users::parse(users.iter().copied()).err();
        let good = hash("x");
        assert_eq!(error(&[]), Some(CredentialsError::NoUsers));
        assert_eq!(error(&[("a:b", &good)]), Some(CredentialsError::Name(1)));
        assert_eq!(error(&[("a", &good), ("a", &good)]), Some(CredentialsError::Name(2)));
        assert_eq!(error(&[("a", &good), ("b", "plain")]), Some(CredentialsError::Hash(2)));
    }
}
