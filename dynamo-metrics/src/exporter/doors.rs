//! Doors by which others bring something: addresses of backends, and pages.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::backend::Backends;
use super::body::ExporterBody;
use super::push::Pushes;
use super::read::{ReadError, read};
use super::{busy, not_allowed, plain};
use crate::clock;

/// Most bytes of a list of backends.
const LONGEST_LIST: usize = 64 * 1024;

/// Longest time for a client to send what it brings.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bodies that are read at once: each may be as long as it may be.
pub(super) const MOST_BODIES: usize = 8;

/// A door, by its path.
pub(super) enum Door<'a> {
    Backends,
    /// Namespace, component and endpoint.
    Push([&'a str; 3]),
}

/// The door at `path`, if there is one.
pub(super) fn door(path: &str) -> Option<Door<'_>> {
    if path == "/backends" {
        return Some(Door::Backends);
    }
    let is_name = |name: &&str| name.len() <= 256 && name.chars().any(char::is_alphanumeric);
    let mut names = path.strip_prefix("/push/")?.split('/').filter(is_name);
    let found = [names.next()?, names.next()?, names.next()?];
    // No name was left out, and none is left.
    (format!("/push/{}", found.join("/")) == path).then_some(Door::Push(found))
}

/// Adds, removes or lists backends.
pub(super) async fn backends<B: Body>(
    backends: &Backends,
    head: &Parts,
    (body, places): (B, &Semaphore),
) -> Response<ExporterBody> {
    let list = || plain(StatusCode::OK, lines(backends.list_remote()));
    match head.method {
        Method::GET => list(),
        Method::HEAD => list().map(ExporterBody::left_out),
        Method::POST | Method::DELETE => {
            let text = match brought(body, LONGEST_LIST, places).await {
                Ok((text, _)) => String::from_utf8(text),
                Err(refusal) => return refusal,
            };
            let Ok(text) = text else { return plain(StatusCode::BAD_REQUEST, "not UTF-8\n") };
            let done = if head.method == Method::POST {
                backends.add_remote(&text).map(|_| StatusCode::OK)
            } else {
                let found = backends.remove_remote(&text);
                found.map(|all| if all { StatusCode::OK } else { StatusCode::NOT_FOUND })
            };
            match done {
                Ok(status) => plain(status, lines(backends.list_remote())),
                Err(error) => plain(error.status(&head.method), format!("{}\n", whole(&error))),
            }
        }
        _ => not_allowed("GET, HEAD, POST, DELETE"),
    }
}

/// Takes a page, or takes one back.
pub(super) async fn push<B: Body>(
    pushes: &Pushes,
    path: [&str; 3],
    head: &Parts,
    (body, places): (B, &Semaphore),
) -> Response<ExporterBody> {
    match head.method {
        Method::PUT => {
            let (page, place) = match brought(body, pushes.most_bytes(), places).await {
                Ok(page) => page,
                Err(refusal) => return refusal,
            };
            let (pushes, path) = (pushes.clone(), path.map(str::to_owned));
            let headers = head.headers.clone();
            let came = (clock::now(), clock::unix_milliseconds());
            let put =
                move || pushes.put(&path.each_ref().map(String::as_str), &headers, &page, came);
            // Megabytes of text take a while.
            let put = spawn_blocking(put).await;
            drop(place);
            match put {
                Ok((status, text)) => plain(status, text),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the page was not read\n"),
            }
        }
        Method::DELETE if pushes.delete(&path) => plain(StatusCode::OK, ""),
        Method::DELETE => plain(StatusCode::NOT_FOUND, "there is no such page\n"),
        _ => not_allowed("PUT, DELETE"),
    }
}

/// A body, with its place among those that are read, or why it is not taken.
async fn brought<B: Body>(
    body: B,
    most: usize,
    places: &Semaphore,
) -> Result<(Vec<u8>, SemaphorePermit<'_>), Response<ExporterBody>> {
    let Ok(place) = places.try_acquire() else { return Err(busy("too many bodies at once\n")) };
    match timeout(BODY_TIMEOUT, read(body, most)).await {
        Ok(Ok(body)) => Ok((body, place)),
        Ok(Err(ReadError::TooLong)) => {
            Err(plain(StatusCode::PAYLOAD_TOO_LARGE, format!("longer than {most} bytes\n")))
        }
        Ok(Err(ReadError::Broken(_))) => {
            Err(plain(StatusCode::BAD_REQUEST, "the body ends in the middle\n"))
        }
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body does not come\n")),
    }
}

/// Each on a line of its own.
pub(super) fn lines(list: impl IntoIterator<Item = impl Display>) -> String {
    list.into_iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
