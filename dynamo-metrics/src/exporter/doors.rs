//! Doors by which others bring something: addresses of backends, and pages.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode, Version};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::backend::{Backends, is_name};
use super::body::ExporterBody;
use super::push::Pushes;
use super::read::{ReadError, read};
use super::{busy, not_allowed, plain};
use crate::causes::whole;
use crate::clock;

/// Most bytes of a list of backends.
const LONGEST_LIST: usize = 64 * 1024;

/// Longest time for a client to send what it brings.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bodies that are read at once: each may be as long as it may be.
pub(super) const MOST_BODIES: usize = 8;

/// Where a request goes, by its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Backends,
    /// Namespace, component and endpoint.
    Push([String; 3]),
}

/// A request whose body was not read so far.
pub(super) struct Delivery<'a, B> {
    pub(super) head: &'a Parts,
    pub(super) body: B,
    /// Places for bodies that are being read.
    pub(super) places: &'a Arc<Semaphore>,
}

impl<B: Body> Delivery<'_, B> {
    /// The body, with its place among those that are read, or why it is not taken.
    async fn take(
        self,
        most: usize,
    ) -> Result<(Vec<u8>, OwnedSemaphorePermit), Response<ExporterBody>> {
        let head = self.head;
        let mut encodings = head.headers.get_all(CONTENT_ENCODING).iter();
        if encodings.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let mut refusal = plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "no body is decoded\n");
            let accepted = HeaderValue::from_static("identity");
            refusal.headers_mut().insert(ACCEPT_ENCODING, accepted);
            return Err(self.leave(refusal));
        }
        let Ok(place) = Arc::clone(self.places).try_acquire_owned() else {
            return Err(self.leave(busy("too many bodies at once\n")));
        };
        let refusal = match timeout(BODY_TIMEOUT, read(self.body, most)).await {
            Ok(Ok(body)) => return Ok((body, place)),
            Ok(Err(ReadError::TooLong)) => {
                plain(StatusCode::PAYLOAD_TOO_LARGE, format!("longer than {most} bytes\n"))
            }
            Ok(Err(ReadError::Broken(_))) => {
                plain(StatusCode::BAD_REQUEST, "the body ends in the middle\n")
            }
            Err(_) => plain(StatusCode::REQUEST_TIMEOUT, "the body does not come\n"),
        };
        Err(closing(head, refusal))
    }

    /// Answers without a look at the body.
    fn leave(self, response: Response<ExporterBody>) -> Response<ExporterBody> {
        if self.body.is_end_stream() { response } else { closing(self.head, response) }
    }
}

/// Where `path` leads, if that is a door.
pub(super) fn route(path: &str) -> Option<Route> {
    if path == "/backends" {
        return Some(Route::Backends);
    }
    let segments = path.strip_prefix("/push/")?.split('/');
    let name = |segment| decoded(segment).filter(|name| is_name(name));
    let names: Vec<_> = segments.map(name).collect::<Option<_>>()?;
    names.try_into().ok().map(Route::Push)
}

/// Adds, removes or lists backends.
pub(super) async fn backends<B: Body>(
    backends: &Backends,
    delivery: Delivery<'_, B>,
) -> Response<ExporterBody> {
    let method = &delivery.head.method;
    match *method {
        Method::GET | Method::HEAD => {
            delivery.leave(plain(StatusCode::OK, lines(backends.list_remote())))
        }
        Method::POST | Method::DELETE => {
            let text = match delivery.take(LONGEST_LIST).await {
                Ok((text, _)) => String::from_utf8(text),
                Err(refusal) => return refusal,
            };
            let Ok(text) = text else { return plain(StatusCode::BAD_REQUEST, "not UTF-8\n") };
            let done = if method == Method::POST {
                backends.add_remote(&text).map(|_| StatusCode::OK)
            } else {
                let found = backends.remove_remote(&text);
                found.map(|all| if all { StatusCode::OK } else { StatusCode::NOT_FOUND })
            };
            match done {
                Ok(status) => plain(status, lines(backends.list_remote())),
                Err(error) => plain(error.status(method), format!("{}\n", whole(&error))),
            }
        }
        _ => delivery.leave(not_allowed("GET, HEAD, POST, DELETE")),
    }
}

/// Takes a page, or takes one back.
pub(super) async fn push<B: Body>(
    pushes: &Pushes,
    path: [String; 3],
    delivery: Delivery<'_, B>,
) -> Response<ExporterBody> {
    let head = delivery.head;
    match head.method {
        Method::PUT => {
            let (page, place) = match delivery.take(pushes.most_bytes()).await {
                Ok(page) => page,
                Err(refusal) => return refusal,
            };
            let (pushes, headers) = (pushes.clone(), head.headers.clone());
            let came = (clock::now(), clock::unix_milliseconds());
            // Megabytes of text take a while, and longer than their client may stay.
            let put = spawn_blocking(move || {
                let told = pushes.put(&path.each_ref().map(String::as_str), &headers, &page, came);
                drop(page);
                drop(place);
                told
            });
            match put.await {
                Ok((status, text)) => plain(status, text),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the page was not read\n"),
            }
        }
        Method::DELETE => {
            let was_there = pushes.delete(&path.each_ref().map(String::as_str));
            delivery.leave(if was_there {
                plain(StatusCode::OK, "")
            } else {
                plain(StatusCode::NOT_FOUND, "there is no such page\n")
            })
        }
        _ => delivery.leave(not_allowed("PUT, DELETE")),
    }
}

/// Says that the connection ends with this answer, as it does where a body is left unread. HTTP/2
/// has no such header, since only the stream ends.
fn closing(head: &Parts, mut response: Response<ExporterBody>) -> Response<ExporterBody> {
    if head.version <= Version::HTTP_11 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A segment of a path as it was before it was percent-encoded; `None` if that is no text.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit()? * 16 + digit()?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Each on a line of its own.
pub(super) fn lines(list: impl IntoIterator<Item = impl Display>) -> String {
    list.into_iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::mpsc::channel;

    use bytes::Bytes;
    use futures_util::{FutureExt as _, stream};
    use http::Request;
    use http_body::Frame;
    use http_body_util::StreamBody;
    use tokio::runtime::Builder;

    use super::*;
    use crate::registry::Registry;

    #[test]
    fn a_path_leads_to_names_that_are_decoded() {
        let push = |names: [&str; 3]| Some(Route::Push(names.map(str::to_owned)));
        assert_eq!(route("/push/a/b/c"), push(["a", "b", "c"]));
        assert_eq!(route("/push/my%2Dns/%c3%a9b/c%2Fd"), push(["my-ns", "éb", "c/d"]));
        for path in ["", "/backends/", "/push/a/b", "/push/a/b/c/", "/push/a/%ff/c", "/push/a/%4/c"]
        {
            assert_eq!(route(path), None, "{path}");
        }
    }

    #[test]
    fn a_page_keeps_its_place_when_its_client_is_gone() {
        let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(1).build();
        runtime.unwrap().block_on(async {
            let (free, wait) = channel::<()>();
            let busy = spawn_blocking(move || wait.recv());
            let places = Arc::new(Semaphore::new(1));
            let pushes = Pushes::new(&Registry::new());
            let (head, body) = Request::put("/").body("a 1\n".to_owned()).unwrap().into_parts();
            let delivery = Delivery { head: &head, body, places: &places };
            let path = ["a", "b", "c"].map(str::to_owned);
            let mut request = Box::pin(push(&pushes, path, delivery));
            assert!((&mut request).now_or_never().is_none());
            drop(request);
            assert_eq!(places.available_permits(), 0);
            drop(free);
            assert!(busy.await.unwrap().is_err());
            // The only thread comes to this after the page.
            spawn_blocking(|| ()).await.unwrap();
            assert_eq!(places.available_permits(), 1);
        });
    }
    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends_a_connection_of_http1() {
        for (version, told) in [(Version::HTTP_11, Some("close")), (Version::HTTP_2, None)] {
            let body = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
            let request = Request::put("/").version(version).body(body).unwrap();
            let (head, body) = request.into_parts();
            let places = Arc::new(Semaphore::new(1));
            let refusal =
                Delivery { head: &head, body, places: &places }.take(9).await.unwrap_err();
            assert_eq!(refusal.status(), StatusCode::REQUEST_TIMEOUT);
            let header = refusal.headers().get(CONNECTION).map(|value| value.to_str().unwrap());
            assert_eq!(header, told, "{version:?}");
            assert_eq!(places.available_permits(), 1);
        }
    }
}
