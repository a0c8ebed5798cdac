//! What those hear who may not come in.

use std::fmt;

use http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};

/// Why a request was not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Reason);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Unauthorized(Challenge),
    #[cfg(any(feature = "tls", feature = "web-config"))]
    Broken,
    #[cfg(feature = "web-config")]
    TooMany,
}

/// What whoever comes should show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge {
    Bearer,
    #[cfg(feature = "web-config")]
    Basic,
}

impl Refusal {
    pub(super) fn unauthorized(challenge: Challenge) -> Self {
        Self(Reason::Unauthorized(challenge))
    }

    #[cfg(any(feature = "tls", feature = "web-config"))]
    pub(super) fn broken() -> Self {
        Self(Reason::Broken)
    }

    #[cfg(feature = "web-config")]
    pub(super) fn too_many() -> Self {
        Self(Reason::TooMany)
    }

    /// 401 for who is not known, 429 for who comes too often, 500 while the guard's files are wrong.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.0 {
            Reason::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            #[cfg(any(feature = "tls", feature = "web-config"))]
            Reason::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            #[cfg(feature = "web-config")]
            Reason::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// The answer, and a line for who reads it.
    ///
    /// # Examples
    /// ```
    /// use dynamo_metrics::exporter::Guard;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let guard = Guard::bearer("s3cret").unwrap();
    /// let refusal = guard.admit(&http::HeaderMap::new()).await.unwrap_err();
    /// let response = refusal.response();
    /// assert_eq!(response.status(), 401);
    /// assert_eq!(response.headers()["www-authenticate"], "Bearer");
    /// # });
    /// ```
    #[must_use]
    pub fn response(&self) -> Response<&'static str> {
        let (text, extra) = match self.0 {
            Reason::Unauthorized(challenge) => {
                let name = match challenge {
                    Challenge::Bearer => "Bearer",
                    #[cfg(feature = "web-config")]
                    Challenge::Basic => "Basic",
                };
                (
                    "unauthorized
",
                    Some((WWW_AUTHENTICATE, name)),
                )
            }
            #[cfg(any(feature = "tls", feature = "web-config"))]
            Reason::Broken => (
                "the exporter's configuration is broken: see its log
",
                None,
            ),
            #[cfg(feature = "web-config")]
            Reason::TooMany => (
                "too many requests
",
                Some((http::header::RETRY_AFTER, "1")),
            ),
        };
        let mut response = Response::new(text);
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.extend(extra.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.response().body().trim_end())
    }
}

impl std::error::Error for Refusal {}
