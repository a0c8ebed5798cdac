//! What the proxy answers by itself, where there is nothing to pass on.

use std::error::Error;
use std::io;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper_util::client::legacy;
use serde_json::json;

/// Why there is no answer of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens there, or its name has no address.
    Unreachable,
    /// The connection broke before the head of an answer.
    Broken,
    /// What came was no HTTP, or had too large a head.
    Garbled,
    /// Nobody took the connection in time.
    SlowConnect,
    /// No head of an answer came in time.
    SlowHead,
    /// The client's own body cannot be read.
    BadBody,
    /// The request's target is no path.
    BadTarget,
    /// CONNECT, TRACE, and web sockets over HTTP/2.
    NotPassed,
}

impl Failure {
    /// What `error` says of the upstream, or of the request's body.
    pub(crate) fn of(error: &legacy::Error) -> Self {
        let causes = || std::iter::successors(error.source(), |&error| error.source());
        let timed_out = causes()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|cause| cause.kind() == io::ErrorKind::TimedOut);
        let mut of_hyper = causes().filter_map(|cause| cause.downcast_ref::<hyper::Error>());
        match (of_hyper.next(), of_hyper.next()) {
            _ if error.is_connect() && timed_out => Self::SlowConnect,
            _ if error.is_connect() => Self::Unreachable,
            // The client of the upstream could not read on, because our server could not.
            (Some(sending), Some(_)) if sending.is_user() => Self::BadBody,
            (Some(reading), _) if reading.is_parse() => Self::Garbled,
            _ => Self::Broken,
        }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Unreachable | Self::Broken | Self::Garbled => StatusCode::BAD_GATEWAY,
            Self::SlowConnect | Self::SlowHead => StatusCode::GATEWAY_TIMEOUT,
            Self::BadBody | Self::BadTarget => StatusCode::BAD_REQUEST,
            Self::NotPassed => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// An answer in the form that OpenAI's clients read.
    pub(crate) fn answer(self) -> Response<Full<Bytes>> {
        let (code, message) = match self {
            Self::Unreachable => ("upstream_unreachable", "the upstream cannot be reached"),
            Self::Broken => ("upstream_broken", "the upstream broke the connection off"),
            Self::Garbled => ("upstream_garbled", "the upstream's answer cannot be read"),
            Self::SlowConnect => ("upstream_connect_timeout", "the upstream takes no connection"),
            Self::SlowHead => ("upstream_timeout", "the upstream did not answer in time"),
            Self::BadBody => ("bad_body", "the body of the request cannot be read"),
            Self::BadTarget => ("bad_target", "the target of the request is no path"),
            Self::NotPassed => {
                ("not_passed", "what the request asks of its connection is not passed on")
            }
        };
        let ours = self.status().is_server_error();
        let error = json!({"error": {
            "message": message,
            "type": if ours { "proxy_error" } else { "invalid_request_error" },
            "param": null,
            "code": code,
        }});
        let mut response = Response::new(Full::from(error.to_string()));
        *response.status_mut() = self.status();
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}
